"use strict";

/* The page of the shop, as it was before it had sockets. */

const $ = (id) => document.getElementById(id);

const shop = {
  goods: [],
  user: null,
  basket: {},
  isLeaving: false,

  /** Ask the application what it knows. */
  refresh: () => ask("GET", "/basket"),

  /** How a good gets into the basket. */
  add: (good) => ask("POST", "/basket", { good }),

  /** Called with each answer. */
  answered() {},

  show(state) {
    const before = this.basket;
    Object.assign(this, state);
    const goods = this.goods.filter(({ name }) => this.basket[name]);
    const count = goods.reduce((sum, { name }) => sum + this.basket[name], 0);
    $("count").textContent = `${count} in the basket`;
    $("total").textContent = money(goods.reduce((sum, { name, price }) => sum + this.basket[name] * price, 0));
    $("basket").replaceChildren(...goods.map((good) => line(good, this.basket[good.name], before[good.name])));
    $("who").textContent = this.user || "A visitor";
    $("face").textContent = (this.user || "?").slice(0, 1).toUpperCase();
    $("standing").textContent = this.user ? "logged in" : "not logged in";
    // Who is in what is hidden now would have the focus nowhere.
    if ($(this.user ? "login" : "logout").contains(document.activeElement)) $("who").focus();
    $("login").hidden = Boolean(this.user);
    $("logout").hidden = !this.user;
    $("hint").hidden = Boolean(this.user);
    for (const button of $("shelf").querySelectorAll("button")) button.disabled = !this.user;
  },

  /** Note what went over the wire. */
  note(by, what, how = "") {
    const item = document.createElement("li");
    item.dataset.by = by;
    item.append(made("b", by === "socket" ? "Socket" : "HTTP"), made("span", what), made("small", how));
    $("feed").prepend(item);
    while ($("feed").children.length > 40) $("feed").lastChild.remove();
  },
};

async function ask(method, path, body) {
  const began = performance.now();
  const headers = { "Content-Type": "application/json" };
  // Django wants to see this; the others do not mind.
  const [, token] = document.cookie.match(/(?:^|; )csrftoken=([^;]*)/) || [];
  if (token) headers["X-CSRFToken"] = token;
  const text = body && JSON.stringify(body);
  const response = await fetch(path, { method, headers, body: text }).catch(() => null);
  const took = `${Math.round(performance.now() - began)} ms`;
  shop.note("http", [method, path, text].join(" "), response ? `${response.status} in ${took}` : "no answer");
  if (response?.status === 403) return shop.refresh();
  if (!response?.ok) return;
  const { shop: name, user, basket } = await response.json();
  const before = shop.user;
  $("shop").textContent = name;
  shop.show({ user, basket });
  if (user) $("over").hidden = true;
  shop.answered(method, before);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  shop.isLeaving = false;
  ask("POST", "/login", { name: $("name").value }).then(() => event.target.reset());
});
$("logout").addEventListener("click", () => {
  shop.isLeaving = true;
  ask("POST", "/logout");
});

fetch("/static/goods.json")
  .then((response) => response.json())
  .then((goods) => {
    shop.goods = goods;
    $("shelf").replaceChildren(...goods.map(offer));
    return shop.refresh();
  });

/* Small things */

function offer(good) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.good = good.name;
  button.append(chip(good), made("b", good.name), made("small", money(good.price)));
  button.addEventListener("click", () => shop.add(good.name));
  item.append(button);
  return item;
}

function line(good, count, before = 0) {
  const item = document.createElement("li");
  item.dataset.good = good.name;
  item.classList.toggle("changed", count !== before);
  item.append(chip(good), made("b", good.name), made("small", `${count} × ${money(good.price)}`));
  return item;
}

function chip({ name, hue }) {
  const element = made("span", name.slice(0, 1).toUpperCase());
  element.className = "chip";
  element.style.setProperty("--hue", hue);
  element.setAttribute("aria-hidden", "true");
  return element;
}

function made(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function money(amount) {
  return amount.toLocaleString("en", { style: "currency", currency: "EUR" });
}
