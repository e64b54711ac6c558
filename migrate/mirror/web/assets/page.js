"use strict";
(() => {
  const SHOWN = 10; // rounds, before somebody asks for all
  const SILENT = 5000; // milliseconds without an event, which comes each second
  const at = (id) => document.getElementById(id);
  // What is not printed, or turns the direction of writing, is shown by number.
  const visible = (s) => String(s).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
  // The only two ways in which data becomes part of the page.
  const say = (e, text) => { // leaves alone what is as it was, so that nothing is read aloud twice
    text = visible(text);
    if (e.textContent !== text) e.textContent = text;
  };
  const make = (tag, name, text) => {
    const e = document.createElement(tag);
    if (name) e.className = name;
    if (text !== undefined) say(e, text);
    return e;
  };
  const show = (e, whether) => { e.hidden = !whether; };

  const count = (n) => Math.round(n).toLocaleString("en-US");
  const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many || one + "s");
  const size = (n) => {
    for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
      if (n < 999.5 || unit === "TiB") return (unit === "B" || n >= 99.5 ? count(n) : n.toFixed(1)) + " " + unit;
      n /= 1024;
    }
  };
  const span = (s) => {
    if (s < 60) return (s > 0 && s < 10 ? Math.max(s, .1).toFixed(s < 1 ? 1 : 0) : Math.round(s)) + " s";
    s = Math.round(s);
    const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
    if (d) return d + " d" + (h ? " " + h + " h" : "");
    if (h) return h + " h" + (m ? " " + m + " min" : "");
    return m + " min" + (s % 60 && m < 10 ? " " + s % 60 + " s" : "");
  };
  const cap = (s) => s.charAt(0).toUpperCase() + s.slice(1);
  const few = (n) => n < 10 ? String(+n.toFixed(1)) : count(n);
  const moment = (t) => Date.parse(t) / 1000;
  const clock = (t) => {
    const d = new Date(t), today = new Date().toDateString() === d.toDateString();
    return d.toLocaleTimeString("en-GB") + (today ? "" : ", " + d.toLocaleDateString("en-GB", { day: "numeric", month: "short" }));
  };
  const words = { full: "full", tags: "tags only", hint: "notified" };

  let status, heard = 0, drift = 0, cutSince = 0, source;
  const now = () => Date.now() / 1000 - drift; // by the server's clock
  const lag = (p) => p.lag_seconds < 0 ? -1 : p.lag_seconds + Math.max(0, now() - moment(status.now));

  // ---- what is to be said of a pair

  function verdict(p) {
    const last = (p.rounds || [])[0];
    const behind = p.lag_seconds >= 0 ? span(lag(p)) + " behind" : "";
    const reason = p.reason || "";
    switch (p.state) {
      case "stopped": return ["bad", "✗", "Stopped" + (reason ? ": " + reason : ""), "Nothing is written any more until somebody looks at it."];
      case "done": return last && (last.error || last.undone) ?
        ["bad", "✗", last.error ? "Ended: " + last.error : "Done, but " + plural(last.undone, "object") + " left undone", ""] :
        last && last.damage ? ["warn", "!", "Done, with " + plural(last.damage, "object") + " damaged at the source already", ""] : ["good", "✓", "Done", reason];
      case "standby": return ["unknown", "–", "Standing by" + (p.lease_holder ? ": " + p.lease_holder + " mirrors" : ""), reason];
    }
    if (p.overdue) return ["bad", "✗", "Overdue" + (behind ? ": " + behind : ": no round was complete yet"), reason || "No round went to its end for longer than one may take."];
    if (p.state === "backoff") return ["warn", "!", "Waiting for a side that fails" + (behind ? ", " + behind : ""), reason];
    if (p.refused_plan) return ["warn", "!", (behind ? "In step, " + behind + "; deletions" : "Deletions") + " refused", reason];
    if (p.state === "finishing") return ["unknown", "…", "Finishing: rounds until nothing changes", reason];
    if (!behind) return ["unknown", "…", p.state === "starting" ? "Starting" : "First round under way" + portion(p.now), reason];
    if (last && last.error) return ["warn", "!", "The last round failed, " + behind, last.error];
    if (last && last.undone) return ["warn", "!", behind + ", and " + plural(last.undone, "object") + " left undone", reason];
    const damaged = (p.findings || []).filter((f) => f.severity === "damage").length;
    return ["good", "✓", "In step, " + behind, reason || (damaged ? "What the source itself has damaged is not made whole by copying it; see the findings." : "")];
  }
  function portion(n) {
    const part = fraction(n);
    return part === undefined ? "" : ", " + Math.floor(part * 100) + "%";
  }
  const fraction = (n) => !n ? undefined : n.total_bytes > 0 ? Math.min(1, n.bytes / n.total_bytes) : n.total_objects > 0 ? Math.min(1, n.objects / n.total_objects) : undefined;
  const gravity = { bad: 3, warn: 2, unknown: 1, good: 0 };

  // ---- the parts of a pair, made once and then kept up to date

  const views = new Map();

  function view(p) {
    if (views.has(p.name)) return views.get(p.name);
    const root = at("pair").content.firstElementChild.cloneNode(true);
    const v = { root, q: (s) => root.querySelector(s), all: false, drawn: {}, facts: new Map() };
    root.id = "pair-" + views.size;
    v.q("h2").id = root.id + "-name";
    v.q(".rounds").setAttribute("aria-label", "Rounds of " + visible(p.name));
    v.q(".now progress").setAttribute("aria-label", "The round under way of " + visible(p.name));
    v.q(".refused").setAttribute("aria-label", "Deletions refused");
    v.q(".command button").addEventListener("click", (e) => copy(e.currentTarget, v.q(".command code").textContent));
    v.q(".all").addEventListener("click", () => { v.all = !v.all; v.drawn.rounds = ""; rounds(v, v.pair); });
    v.charts = [
      chart(v, "Written", (n) => size(n) + "/s", "bytes", (n) => size(n).replace(".0 ", " "), steps.bytes),
      chart(v, "Objects written", (n) => few(n) + "/s", "objects", few, steps.objects),
      chart(v, "Behind the source", span, "lag", (n) => n ? span(n) : "0", steps.time),
    ];
    views.set(p.name, v);
    at("pairs").append(root);
    return v;
  }

  async function copy(button, text) {
    let done = false;
    try { await navigator.clipboard.writeText(text); done = true; } catch { // not on plain HTTP, but from this machine
      const range = document.createRange();
      range.selectNodeContents(button.previousElementSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done = document.execCommand("copy");
    }
    say(button, done ? "Copied" : "Selected");
    say(at("said"), done ? "The command is in the clipboard." : "The command is selected.");
    setTimeout(() => say(button, "Copy"), 2000);
  }

  // drawn says whether something is on the page already.
  function drawn(v, part, data) {
    const text = JSON.stringify(data ?? null);
    if (v.drawn[part] === text) return true;
    v.drawn[part] = text;
    return false;
  }

  function fact(v, name, value) {
    let f = v.facts.get(name);
    if (!f) {
      f = make("div");
      f.append(make("dt", "", name), make("dd"));
      v.facts.set(name, f);
      v.q(".facts").append(f);
    }
    show(f, value !== undefined);
    if (value !== undefined) say(f.lastChild, value);
  }

  function update(p, several) {
    const v = view(p), [tone, sign, text] = verdict(p);
    v.pair = p;
    say(v.q("h2"), p.name);
    show(v.q("h2"), several);
    if (several) v.root.setAttribute("aria-labelledby", v.q("h2").id);
    v.q(".own").className = "own " + tone;
    say(v.q(".own .tone"), sign);
    say(v.q(".own bdi"), text);
    show(v.q(".own"), several);
    say(v.q(".source"), p.source);
    say(v.q(".destination"), p.destination);

    const since = p.last_round && now() - moment(p.last_round), until = p.next_round && moment(p.next_round) - now();
    fact(v, "last complete round", since === undefined ? undefined : clock(p.last_round) + ", " + span(Math.max(0, since)) + " ago");
    fact(v, "next round", until === undefined || p.now ? undefined : until > 0 ? "in " + span(Math.ceil(until)) : "now");
    fact(v, "lease held by", p.lease_holder || undefined);
    fact(v, "notifications waiting", p.hints_queued || p.hints_dropped ? count(p.hints_queued) + (p.hints_dropped ? ", " + count(p.hints_dropped) + " left to the next round" : "") : undefined);
    fact(v, "deletions", p.deleting ? p.deleted ? plural(p.deleted, "object") : "on, none yet" : p.lease_holder ? "off" : undefined);

    show(v.q(".now"), !!p.now);
    if (p.now) progress(v, p.now);
    refused(v, p.refused_plan);
    rounds(v, p);
    list(v, "behind", p.behind, (name) => [make("bdi", "mono", name)]);
    list(v, "failures", p.failures, (f) => [make("span", "mark failure", f.class), make("bdi", "mono", f.key), make("p", "", cap(f.side) + ", " + f.op + ": " + f.message)]);
    list(v, "findings", p.findings, (f) => [
      make("span", "mark " + (["damage", "warning"].includes(f.severity) ? f.severity : ""), f.severity),
      make("bdi", "mono", f.tag ? f.repository + ":" + f.tag : f.key || f.repository || f.digest || ""),
      make("p", "", cap(f.kind.replaceAll("-", " ")) + (f.side === "transfer" ? " in the transfer" : " at the " + f.side) + (f.found ? ": " + f.found : "") + (f.advice ? ". " + f.advice : "")),
    ]);
  }

  function progress(v, n) {
    const part = fraction(n), bar = v.q("progress");
    say(v.q(".doing"), "Round under way: " + (words[n.kind] || n.kind) + (n.phase ? ", " + n.phase : ""));
    const of = (a, b, f) => f(a) + (b > 0 ? " of about " + f(b) : "");
    say(v.q(".done"), [of(n.bytes, n.total_bytes, size), of(n.objects, n.total_objects, count) + " objects", n.repositories ? plural(n.repositories, "repository", "repositories") : "",
      n.retries ? plural(n.retries, "retry", "retries") : "", n.failures ? plural(n.failures, "failure") : "", "for " + span(Math.max(0, now() - moment(n.started)))].filter(Boolean).join(" · "));
    if (part === undefined) bar.removeAttribute("value"); else bar.value = part;
  }

  function refused(v, plan) {
    if (drawn(v, "refused", plan)) return;
    show(v.q(".refused"), !!plan);
    if (!plan) return;
    say(v.q(".refused .reason"), plan.reason);
    say(v.q(".refused .size"), "Plan " + plan.id + " of " + clock(plan.made) + ": " + plural(plan.objects, "object") + ", of them " + plural(plan.tags, "tag") + " and " + plural(plan.blobs, "blob") + ", " + size(plan.bytes) + ".");
    say(v.q(".command code"), plan.command);
    show(v.q(".through"), !!plan.command);
  }

  function result(r) {
    if (r.error) return ["bad", r.error];
    const parts = [];
    if (r.undone) parts.push(count(r.undone) + " undone");
    if (r.damage) parts.push(count(r.damage) + " damaged at the source");
    if (r.absences) parts.push(count(r.absences) + " gone at the source");
    if (!r.complete && !r.undone) parts.unshift("incomplete");
    const tone = r.undone || !r.complete ? "bad" : r.damage ? "warn" : "good";
    return [tone, parts.join(", ") || "complete"];
  }

  function rounds(v, p) {
    const list = p.rounds || [];
    if (drawn(v, "rounds", [v.all, list])) return;
    show(v.q(".unrounded"), !list.length);
    show(v.q(".rounds"), !!list.length);
    v.q(".rounds tbody").replaceChildren(...list.slice(0, v.all ? list.length : SHOWN).map((r) => {
      const row = make("tr"), head = make("th", "", "#" + r.number + " ");
      head.append(make("small", "", words[r.kind] || r.kind));
      const written = [[r.blobs, "blob"], [r.links, "link"], [r.tags, "tag"]].filter(([n]) => n).map(([n, what]) => plural(n, what));
      if (r.bytes) written.push(size(r.bytes));
      const rest = [r.deleted && count(r.deleted) + " deleted", r.proved && plural(r.proved, "blob") + " proved again"].filter(Boolean);
      const wrote = make("td", "", written.concat(rest).join(", ") || "nothing");
      if (!written.length && !rest.length) wrote.className = "none";
      const [tone, text] = result(r), end = make("td", tone);
      end.append(make("span", "tone", text));
      row.append(head, make("td", "number", clock(r.started)), make("td", "number", span(r.seconds)), wrote, end);
      // On a narrow screen it is laid out as a grid, which would take the roles away.
      row.setAttribute("role", "row");
      for (const cell of row.cells) cell.setAttribute("role", cell === head ? "rowheader" : "cell");
      return row;
    }));
    show(v.q(".all"), list.length > SHOWN);
    say(v.q(".all"), v.all ? "Only the last " + SHOWN : "All " + list.length + " rounds");
    v.q(".all").setAttribute("aria-expanded", String(v.all));
  }

  function list(v, name, items, row) {
    if (drawn(v, name, items)) return;
    const box = v.q("." + name);
    items ||= [];
    show(box, !!items.length);
    say(box.querySelector("small"), items.length >= 100 ? "the first 100" : count(items.length));
    box.querySelector("ul").replaceChildren(...items.map((item) => {
      const li = make("li");
      li.append(...row(item));
      return li;
    }));
  }

  // ---- charts

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // What is between two lines of the grid.
  const steps = {
    bytes: [0, 1, 2, 3, 4, 5].flatMap((k) => [1, 2, 5, 10, 20, 50, 100, 200, 500].map((n) => n * 1024 ** k)),
    objects: [-1, 0, 1, 2, 3, 4, 5].flatMap((k) => [1, 2, 5].map((n) => n * 10 ** k)),
    time: [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 432000, 864000],
  };

  function chart(v, title, format, field, short, incrs) {
    const box = make("figure"), caption = make("figcaption", "", ""), value = make("b"), plot = make("div", "plot");
    caption.append(make("span", "", title), value);
    plot.setAttribute("role", "img");
    box.append(caption, plot);
    v.q(".charts").append(box);
    const c = { box, field, data: [[], []] };
    const latest = (i) => {
      const n = i ?? c.data[0].length - 1, y = c.data[1][n];
      say(value, y == null ? "–" : format(y) + (i == null ? "" : " at " + clock(c.data[0][i] * 1000)));
    };
    const axis = { stroke: () => color("--soft"), grid: { stroke: () => color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    c.draw = () => {
      show(box, c.data[1].some((y) => y != null));
      if (box.hidden || v.root.hidden) return;
      c.u ||= new uPlot({
        width: plot.clientWidth, height: 150, legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
        scales: { y: { range: (_, lo, hi) => [0, hi > 0 ? hi * 1.1 : 1] } },
        series: [{}, { stroke: () => color("--chart"), fill: () => color("--fill"), width: 1.5, points: { show: false } }],
        axes: [{ ...axis, space: 60, size: 26, values: (_, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })) },
          { ...axis, size: 66, space: 30, incrs, values: (_, ticks) => ticks.map(short) }],
        hooks: { setCursor: [(u) => latest(u.cursor.idx ?? undefined)] },
      }, c.data, plot);
      c.u.setData(c.data);
      latest(c.u.cursor.idx ?? undefined);
      const known = c.data[1].filter((y) => y != null);
      plot.setAttribute("aria-label", title + " over the last two hours: now " + format(known.at(-1)) + ", highest " + format(Math.max(...known)));
    };
    c.resize = () => { if (c.u && plot.clientWidth) c.u.setSize({ width: plot.clientWidth, height: 150 }); };
    new ResizeObserver(c.resize).observe(plot);
    return c;
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const v of views.values()) for (const c of v.charts) c.u?.redraw(false);
  });

  let newest = 0, asking = false;
  async function history() {
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch("history?after=" + newest);
      if (!answer.ok) return;
      for (const s of (await answer.json()).pairs) {
        const v = views.get(s.name);
        if (!v) continue;
        for (const c of v.charts) {
          c.data = [c.data[0].concat(s.times).slice(-720), c.data[1].concat(s[c.field]).slice(-720)];
          c.draw();
        }
        show(v.q(".early"), !v.charts[0].data[0].length);
        newest = Math.max(newest, s.times.at(-1) || 0);
      }
    } catch { /* the line below the title tells of it */ } finally { asking = false; }
  }
  setInterval(history, 10000);

  // ---- the whole

  let told = "";
  function render() {
    if (!status) return;
    const pairs = status.pairs || [];
    for (const p of pairs) update(p, pairs.length > 1);
    for (const [name, v] of views) show(v.root, pairs.some((p) => p.name === name));
    const all = pairs.map((p) => [p, verdict(p)]).sort((a, b) => gravity[b[1][0]] - gravity[a[1][0]] || lag(b[0]) - lag(a[0]));
    const [worst, [tone, sign, text, why]] = all[0] || [undefined, ["unknown", "–", "Nothing to mirror", ""]];
    const name = pairs.length > 1 && worst ? worst.name + ": " : "";
    if (at("verdict").className !== tone) at("verdict").className = tone;
    say(at("sign"), sign);
    say(at("headline"), tone === "good" && pairs.length > 1 ? "All " + pairs.length + " in step, " + span(Math.max(...pairs.map(lag))) + " behind at most" : name + text);
    show(at("why"), !!why);
    say(at("why"), why || "");
    say(at("program"), status.program + " " + status.version);
    say(at("about"), "Up for " + span(Math.max(0, now() - moment(status.started))) + ".");
    document.title = sign + " " + visible((name + text).slice(0, 60)) + " · " + visible(status.program);
    index(pairs);
    // Read aloud when a state changes, and not when a number does.
    const states = pairs.map((p) => (pairs.length > 1 ? p.name + ": " : "") + verdict(p)[2].replace(/\d[\d,.]*( (s|min|h|d|ms))?( behind)?|\d+%/g, "").replace(/[ ,:;]+$/g, "") + (p.refused_plan ? " (a plan of deletions was refused)" : "")).join(". ");
    if (states !== told) { told = states; say(at("said"), states); }
  }

  function index(pairs) {
    show(at("contents"), pairs.length > 1);
    if (pairs.length < 2) return;
    const body = at("index");
    while (body.rows.length > pairs.length) body.lastChild.remove();
    pairs.forEach((p, i) => {
      let row = body.rows[i];
      if (!row) {
        row = body.insertRow();
        const head = make("th");
        head.scope = "row";
        head.append(make("a"));
        row.append(head, make("td"), make("td", "number"));
        row.cells[1].append(make("span", "tone"));
      }
      const [tone, sign, text] = verdict(p), link = row.cells[0].firstChild;
      say(link, p.name);
      link.href = "#" + views.get(p.name).root.id + "-name";
      row.cells[1].className = tone;
      say(row.cells[1].firstChild, sign + " " + (tone === "good" ? "In step" : text));
      say(row.cells[2], p.lag_seconds < 0 ? "–" : span(lag(p)));
    });
  }

  function line(state, text) {
    at("line").dataset.line = state;
    say(at("line"), text);
    document.body.classList.toggle("cut", state === "cut");
  }

  function take(next, whole) {
    if (!whole && status) next.pairs.forEach((p, i) => {
      const old = status.pairs[i] || {};
      Object.assign(p, { rounds: old.rounds, behind: old.behind, findings: old.findings, failures: old.failures });
    });
    const first = !status || cutSince;
    status = next;
    heard = Date.now();
    drift = heard / 1000 - moment(status.now);
    if (cutSince) say(at("said"), "Connected again.");
    cutSince = 0;
    line("live", "live");
    render();
    if (first) history();
  }

  // EventSource comes back by itself after a network error, but not after an
  // answer that is no stream, as a proxy gives while the server restarts.
  function connect() {
    source?.close();
    source = new EventSource("events/stream");
    source.addEventListener("status", (e) => take(JSON.parse(e.data), true));
    source.addEventListener("brief", (e) => take(JSON.parse(e.data), false));
    source.addEventListener("error", () => cut());
  }
  function cut() {
    if (!cutSince) {
      cutSince = heard || Date.now();
      if (heard) say(at("said"), "Disconnected.");
    }
    line("cut", heard ? "disconnected since " + clock(cutSince) : "cannot connect");
  }
  let tried = Date.now();
  setInterval(() => {
    if (!cutSince && heard) render();
    if (Date.now() - Math.max(heard, tried) < SILENT) return;
    cut();
    tried = Date.now();
    connect();
  }, 1000);
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (e) => { if (e.persisted) connect(); });
  connect();
})();
