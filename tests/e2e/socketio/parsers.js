/*
 * Reads rows as those of tests/socketio/fixtures/packets.json, whose messages our
 * parsers wrote, and says what the official ones make of them.
 */
"use strict";

const text = require("socket.io-parser");
const msgpack = require("socket.io-msgpack-parser");

const seen = (value) => {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value))
    return { $bytes: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(seen);
  if (value === null || typeof value !== "object") return value;
  const found = Object.create(null);
  for (const key of Object.keys(value)) found[key] = seen(value[key]);
  return found;
};

const read = ({ parser: name, messages }) => {
  const parser = name === "text" ? text : msgpack;
  const decoder = new parser.Decoder();
  let packet = null;
  decoder.on("decoded", (decoded) => (packet = decoded));
  try {
    for (const { text, hex } of messages) decoder.add(text ?? Buffer.from(hex, "hex"));
  } catch (error) {
    return { error: String(error) };
  }
  if (parser.isPacketValid && !parser.isPacketValid(packet)) return { error: "not valid" };
  const { type, nsp, id, data } = packet;
  return { type, nsp, id: id ?? null, data: seen(data) ?? null };
};

let input = "";
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => {
  process.stdout.write(JSON.stringify(JSON.parse(input).map(read)));
});
