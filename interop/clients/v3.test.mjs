import io from "socket.io-client-3";
import { Generation } from "../lib/clients.mjs";
import { clientSuite } from "./suite.mjs";

await clientSuite(new Generation({ name: "socket.io-client 3", io, major: 3 }));
