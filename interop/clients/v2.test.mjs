import io from "socket.io-client-2";
import { Generation } from "../lib/clients.mjs";
import { clientSuite } from "./suite.mjs";

await clientSuite(new Generation({ name: "socket.io-client 2", io, major: 2 }));
