import { io } from "socket.io-client";
import { Generation } from "../lib/clients.mjs";
import { clientSuite } from "./suite.mjs";

await clientSuite(new Generation({ name: "socket.io-client 4, latest", io, major: 4, timeouts: true }));
