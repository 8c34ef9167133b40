import { io } from "socket.io-client";
import parser from "socket.io-msgpack-parser";
import { Generation } from "../lib/clients.mjs";
import { clientSuite } from "./suite.mjs";

await clientSuite(new Generation({ name: "socket.io-client 4 with MessagePack", io, major: 4, timeouts: true, parser }), { parser: "msgpack" });
