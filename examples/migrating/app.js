// The page of socket.io-sessions' README, in Express, with express-session in Redis.

import { readFile } from "node:fs/promises";

import { RedisStore } from "connect-redis";
import { sign } from "cookie-signature";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const secret = process.env.SESSION_SECRET;
const port = Number(process.env.PORT);
const page = await readFile(new URL("ping.html", import.meta.url), "utf8");

const redis = createClient({ url: process.env.REDIS_URL });
redis.on("error", console.error);
await redis.connect();

const app = express();
app.use(
  session({
    store: new RedisStore({ client: redis }),
    secret,
    resave: false,
    saveUninitialized: false,
    cookie: { sameSite: "lax" },
  }),
);

app.get("/", (request, response) => {
  request.session.visits = (request.session.visits ?? 0) + 1;
  const values = {
    // The id with its signature, as it is in the cookie: who has the id alone gets nothing.
    sid: `s:${sign(request.sessionID, secret)}`,
    sockets: `http://localhost:${port + 1}`,
    visits: request.session.visits,
    pings: request.session.pings ?? 0,
  };
  // No cache keeps it: it is as good as the cookie.
  response.set("Cache-Control", "no-store");
  response.type("html").send(page.replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]));
});

app.post("/logout", (request, response, next) => {
  request.session.destroy((error) => {
    if (error) return next(error);
    response.clearCookie("connect.sid").redirect("/");
  });
});

app.listen(port, "127.0.0.1");
