import io from "socket.io-client-4.0";
import { Generation } from "../lib/clients.mjs";
import { clientSuite } from "./suite.mjs";

await clientSuite(new Generation({ name: "socket.io-client 4.0", io, major: 4 }));
