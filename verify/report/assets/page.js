"use strict";
(() => {
  const PAGE = 100, PRINTED = 1000;
  const at = (id) => document.getElementById(id);
  const data = (id) => JSON.parse(at(id).textContent);
  const count = (n) => n.toLocaleString("en-US");
  // What is not printed, or turns the direction of writing, is shown by number.
  const visible = (s) => s.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
  // The only way in which data becomes part of the page.
  const make = (tag, name, text) => {
    const e = document.createElement(tag);
    if (name) e.className = name;
    if (text !== undefined) e.textContent = visible(text);
    return e;
  };

  const page = data("data-page");
  drawChart(page.charts);

  const order = new Map(page.kinds.map((k, i) => [k.kind, i]));
  const gravity = { failure: 0, damage: 1, warning: 2, notice: 3 };
  const all = data("data-failures").map((f) => ({
    kind: "not-transferred", side: f.side, severity: "failure", key: f.key, found: f.message, advice: "Run the same command again.", class: f.class,
  })).concat(data("data-findings"));
  const rank = (f) => order.has(f.kind) ? order.get(f.kind) : order.size;
  for (const f of all) f.rank = rank(f) * 8 + (gravity[f.severity] ?? 7);
  all.sort((a, b) => a.rank - b.rank);
  if (!all.length) return;

  const subject = (f) => f.tag ? f.repository + ":" + f.tag : f.key || (f.repository ? f.repository + (f.digest ? "@" + f.digest : "") : f.digest || "");
  const words = (f) => f.words ??= [subject(f), f.key, f.repository, f.digest, f.expected, f.found, f.advice, (f.chain || []).join(" "), f.class].join("\n").toLowerCase();

  const choices = { kind: at("kind"), side: at("side"), severity: at("severity") };
  const title = new Map(page.kinds.map((k) => [k.kind, k]));
  for (const [field, select] of Object.entries(choices)) {
    const found = new Map();
    for (const f of all) found.set(f[field], (found.get(f[field]) || 0) + 1);
    const any = make("option", "", "all");
    any.value = "";
    select.append(any);
    for (const [value, n] of found) {
      const o = make("option", "", (title.get(value)?.title || value) + " (" + count(n) + ")");
      o.value = value;
      select.append(o);
    }
  }

  let shown = all, first = 0;

  function filter() {
    const text = at("text").value.trim().toLowerCase();
    const wanted = Object.entries(choices).filter(([, s]) => s.value).map(([field, s]) => [field, s.value]);
    shown = all.filter((f) => wanted.every(([field, v]) => f[field] === v) && (!text || words(f).includes(text)));
    first = 0;
    render();
  }

  function render(most = PAGE) {
    const list = document.createDocumentFragment();
    const totals = new Map();
    for (const f of shown) totals.set(f.kind, (totals.get(f.kind) || 0) + 1);
    let kind, group;
    for (const f of shown.slice(first, first + most)) {
      if (f.kind !== kind) {
        kind = f.kind;
        group = heading(list, kind, totals.get(kind));
      }
      group.append(row(f));
    }
    at("list").replaceChildren(list);
    const last = Math.min(first + most, shown.length);
    at("status").textContent = shown.length ? count(first + 1) + " to " + count(last) + " of " + count(shown.length) +
      (shown.length < all.length ? ", filtered from " + count(all.length) : "") : "Nothing matches; " + count(all.length) + " in all";
    at("first").disabled = at("previous").disabled = first === 0;
    at("next").disabled = at("last").disabled = at("more").disabled = last >= shown.length;
    at("more").hidden = last >= shown.length;
    at("pages").hidden = shown.length <= PAGE;
  }

  function heading(list, kind, n) {
    const known = title.get(kind);
    const box = make("section", "group");
    const h = make("h3", "", known ? known.title : kind);
    h.append(" ", make("small", "", count(n)));
    box.append(h);
    if (known) box.append(make("p", "meaning", known.meaning));
    const ul = make("ul");
    box.append(ul);
    list.append(box);
    return ul;
  }

  function row(f) {
    const li = make("li"), head = make("div", "head"), more = make("dl", "more");
    const mark = make("span", "mark", f.severity);
    if (f.severity in gravity) mark.classList.add(f.severity);
    head.append(mark, make("span", "side", f.side), make("span", "subject", subject(f)));
    li.append(head);
    const add = (name, value, extra) => value && more.append(make("dt", extra || "", name), make("dd", extra ? "value " + extra : "value", value));
    add("expected", f.expected);
    add("found", f.found);
    add("class", f.class);
    const chain = f.chain && f.chain.length > 1;
    if (f.tag && !(chain && f.chain[0] === f.digest)) add("digest", f.digest);
    if (chain) add("through", f.chain.join(" \u2192 "));
    if (f.tag) add("key", f.key, "at-length");
    if (more.childElementCount) li.append(more);
    if (f.advice) li.append(make("p", "advice", f.advice));
    return li;
  }

  function go(to) {
    first = Math.max(0, Math.min(to, Math.floor((shown.length - 1) / PAGE) * PAGE));
    render();
  }

  let waiting;
  at("text").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 80); });
  for (const s of Object.values(choices)) s.addEventListener("change", filter);
  at("filter").addEventListener("submit", (e) => { e.preventDefault(); filter(); });
  at("filter").addEventListener("reset", () => setTimeout(filter));
  at("first").addEventListener("click", () => go(0));
  at("previous").addEventListener("click", () => go(first - PAGE));
  at("next").addEventListener("click", () => go(first + PAGE));
  at("last").addEventListener("click", () => go(shown.length));
  at("more").addEventListener("click", () => { go(first + PAGE); at("filter").scrollIntoView(); at("list").focus({ preventScroll: true }); });
  for (const a of document.querySelectorAll("a[data-kind]")) {
    a.addEventListener("click", () => {
      at("text").value = "";
      for (const field of Object.keys(choices)) choices[field].value = a.dataset[field];
      filter();
    });
  }
  addEventListener("beforeprint", () => render(PRINTED));
  addEventListener("afterprint", () => render());
  at("browser").hidden = false;
  render();

  function drawChart(charts) {
    if (!charts.length) return;
    at("room-section").hidden = false;
    let chart, shown, names, values;
    const amount = (n, unit) => {
      if (unit !== "bytes") return count(n);
      const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
      let i = 0;
      for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
      return (i && n < 100 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
    };
    const draw = (c, width) => {
      shown = c;
      const narrow = (width || at("chart").clientWidth) < 560;
      names = c.rows.map((r) => visible(r.name));
      values = c.rows.map((r) => r.value);
      if (c.others) { names.push(count(c.others) + " others"); values.push(c.rest); }
      // The library draws from the bottom up.
      const drawn = { labels: names.toReversed(), series: [values.toReversed()] };
      const options = {
        horizontalBars: true, width: width && width + "px", height: names.length * (width ? 20 : 24) + 12 + "px", low: 0,
        chartPadding: { top: 4, right: narrow ? 74 : 100, bottom: 0, left: 0 },
        axisX: { showLabel: false, showGrid: false, offset: 8 }, axisY: { offset: narrow ? 130 : 270, showGrid: false },
      };
      if (chart) chart.update(drawn, options, true); // at once, for a printer
      else chart = new Chartist.BarChart(at("chart"), drawn, options);
      at("chart").setAttribute("aria-label", c.name + " per repository; the table below has the same");
      at("chart-table").replaceChildren(...names.map((n, i) => {
        const tr = make("tr"), th = make("th", "", n);
        th.scope = "row";
        tr.append(th, make("td", "", amount(values[i], c.unit)));
        return tr;
      }));
    };
    const decorate = (d) => {
      if (d.type === "bar") {
        const i = names.length - 1 - d.index;
        if (shown.others && i === names.length - 1) d.element.addClass("rest");
        d.group.elem("text", { x: d.x2 + 6, y: d.y1 + 4 }, "amount").text(amount(values[i], shown.unit));
      } else if (d.type === "label") {
        const name = make("span", "name", d.text);
        name.title = d.text;
        d.element.getNode().firstElementChild.replaceChildren(name);
      }
    };
    charts.forEach((c, i) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "measure", checked: i === 0 });
      input.addEventListener("change", () => draw(c));
      label.append(input, c.name);
      at("measures").append(label);
    });
    draw(charts[0]);
    chart.on("draw", decorate); // before the first drawing, which waits for its turn
    let waiting;
    addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => draw(shown), 50); });
    addEventListener("beforeprint", () => draw(shown, 660));
    addEventListener("afterprint", () => draw(shown));
  }
})();
