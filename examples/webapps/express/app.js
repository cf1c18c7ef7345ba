// A shop in Express, with express-session in Redis.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const page = fileURLToPath(new URL("../page", import.meta.url));
const goods = JSON.parse(await readFile(`${page}/static/goods.json`)).map(({ name }) => name);

const redis = createClient({ url: process.env.REDIS_URL });
redis.on("error", console.error);
await redis.connect();

const app = express();
app.use("/static", express.static(`${page}/static`));
app.use(
  session({
    store: new RedisStore({ client: redis }),
    secret: process.env.SESSION_SECRET,
    resave: false,
    saveUninitialized: false,
    cookie: { sameSite: "lax" },
  }),
);
app.use(express.json());

app.get("/", (request, response) => response.sendFile(`${page}/index.html`));

app.get("/basket", show);

app.post("/basket", (request, response) => {
  const good = request.body?.good;
  if (!request.session.user || !goods.includes(good)) return response.sendStatus(403);
  const basket = (request.session.basket ??= {});
  basket[good] = (basket[good] ?? 0) + 1;
  show(request, response);
});

app.post("/login", (request, response, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = request.body.name;
    show(request, response);
  });
});

app.post("/logout", (request, response, next) => {
  request.session.destroy((error) => {
    if (error) return next(error);
    response.clearCookie("connect.sid");
    show(request, response);
  });
});

function show({ session }, response) {
  response.json({ shop: "Express", user: session?.user ?? null, basket: session?.basket ?? {} });
}

app.listen(process.env.PORT, "127.0.0.1");
