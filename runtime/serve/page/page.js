// The watch page: what the feed tells, and the pictures.
"use strict";

const HISTORY = 600;
const SHOWN_CLASSES = 5;
const SHOWN_EVENTS = 30;
const PICTURES_AT_ONCE = 4;
const SILENT_S = 4;

const byId = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const STATUS = { live: "live", waiting: "waiting for the first frame", interrupted: "interrupted", stalled: "no frames", ended: "ended", lost: "no connection" };

let streams = [];
let events = new Map();
let rate = 10;
let fetching = 0;
let over = false;
let generation = 0;

class Stream {
  constructor(number, facts) {
    this.number = number;
    this.facts = facts;
    this.points = [];
    this.status = "waiting";
    this.picture = 0;
    this.root = byId("stream").content.firstElementChild.cloneNode(true);
    this.find = (path) => this.root.querySelector(path);
    this.find(".name").textContent = facts.name;
    this.chart = new Chart(this.find(".plot"), this.find(".legend"), facts.live);
    if (!facts.live) this.find(".age").parentElement.hidden = true;
    if (!facts.live) this.find(".dropped").parentElement.hidden = true;
    byId("streams").append(this.root);
    this.show("waiting", "");
  }

  show(status, text) {
    this.status = status;
    const pill = this.find(".status");
    pill.className = `status ${status}`;
    pill.textContent = text || (status === "live" && !this.facts.live ? "running" : STATUS[status]) || status;
    this.find(".view").classList.toggle("old", ["interrupted", "stalled", "ended", "lost"].includes(status));
  }

  // Behind a break, the last result is about what was before it.
  known(known) {
    this.find("figcaption").hidden = !known;
    this.find(".classes").classList.toggle("old", !known);
    if (!known) this.find(".age").textContent = "–";
  }

  add(points) {
    for (const point of points) {
      const last = this.points[this.points.length - 1];
      if (last && point.end < last.end) this.points = []; // its clock began anew
      this.points.push(point);
    }
    this.points = this.points.slice(-HISTORY);
    this.chart.points = this.points;
    this.chart.changed();
    const newest = this.points[this.points.length - 1];
    this.classes(newest.top);
    this.known(true);
    const caption = this.find("figcaption");
    caption.querySelector("strong").textContent = newest.top.length ? newest.top[0][0] : "–";
    caption.querySelector("span").textContent = newest.top.length ? percent(newest.top[0][1]) : "";
    this.find(".age").textContent = newest.age === null ? "–" : milliseconds(newest.age);
    this.find(".latency").textContent = milliseconds(newest.latency);
    this.find(".rate").textContent = resultsPerSecond(this.points);
  }

  classes(top) {
    const list = this.find(".classes");
    const wanted = top.slice(0, SHOWN_CLASSES);
    while (list.children.length < wanted.length) {
      const row = document.createElement("li");
      row.append(document.createElement("i"), document.createElement("span"), document.createElement("span"));
      list.append(row);
    }
    while (list.children.length > wanted.length) list.lastElementChild.remove();
    wanted.forEach(([label, probability], rank) => {
      const [bar, name, value] = list.children[rank].children;
      bar.style.transform = `scaleX(${Math.max(0, Math.min(1, probability))})`;
      name.textContent = label;
      name.title = label;
      value.textContent = percent(probability);
    });
  }

  count(state) {
    let text = state.text;
    if (!text && state.status === "stalled") text = `no frames for ${Math.round(state.since_frame_s || 0)} s`;
    let status = state.status;
    if (!text && status === "live" && this.facts.live && state.since_frame_s > SILENT_S) {
      status = "waiting";
      text = `no frames for ${Math.round(state.since_frame_s)} s`;
    }
    this.show(status, text);
    const share = (count) => `${count}${count ? ` (${percent(Math.min(1, count / state.frames))})` : ""}`;
    this.find(".dropped").textContent = share(state.dropped);
    this.find(".broken").textContent = share(state.broken);
    this.find(".broken").parentElement.hidden = !state.broken;
    this.known(state.known);
  }

  // One picture after the other: a slow connection gets fewer, never old ones.
  async watch(mine) {
    const image = this.find("img");
    while (mine === generation && !over) {
      if (document.hidden || fetching >= PICTURES_AT_ONCE) { await sleep(100); continue; }
      const began = performance.now();
      fetching += 1;
      let wait = 0;
      try {
        const answer = await fetch(`picture/${this.number}.jpg?after=${this.picture}`, { cache: "no-store" });
        if (answer.status === 200) {
          const next = URL.createObjectURL(await answer.blob());
          const former = image.src;
          this.picture = Number(answer.headers.get("x-picture")) || 0;
          image.src = next;
          await image.decode().catch(() => {});
          if (image.hidden) this.find(".view").style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
          image.hidden = false;
          this.find(".empty").hidden = true;
          if (former) URL.revokeObjectURL(former);
        } else if (answer.status !== 204) wait = 2000;
      } catch (error) {
        wait = 2000;
      }
      fetching -= 1;
      await sleep(Math.max(wait, 1000 / rate - (performance.now() - began), 5));
    }
  }
}

function milliseconds(value) {
  const [number, unit] = value >= 1000 ? [(value / 1000).toFixed(1), "s"] : [value >= 10 ? value.toFixed(0) : value.toFixed(1), "ms"];
  return `${number} ${unit}`;
}

function resultsPerSecond(points) {
  const recent = points.slice(-30);
  const took = recent[recent.length - 1].at - recent[0].at;
  if (recent.length < 2 || took <= 0) return "–";
  const each = (recent.length - 1) / took;
  return each >= 0.1 ? `${each.toFixed(each < 9.95 ? 2 : 1)} per s` : `${(each * 60).toFixed(1)} per min`;
}

function duration(seconds) {
  return seconds < 90 ? `${seconds.toFixed(1)} s` : clockTime(Math.round(seconds));
}

function cell(text, kind) {
  const made = document.createElement("td");
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function showEvents() {
  const newest = [...events.values()].sort((a, b) => b.at - a.at).slice(0, SHOWN_EVENTS);
  const several = streams.length > 1;
  byId("events").querySelector("thead .source").hidden = !several;
  byId("events").querySelector("table").hidden = !newest.length;
  byId("events").querySelector(".none").hidden = newest.length > 0;
  byId("events").querySelector("tbody").replaceChildren(...newest.map((event) => {
    const stream = streams[event.stream];
    const row = document.createElement("tr");
    if (event.kind === "source") row.className = "source-event";
    const live = !stream || stream.facts.live || event.start === null;
    row.append(cell(live ? dayTime(event.at) : clockTime(event.start)));
    if (several) row.append(cell(stream ? stream.facts.name : "", "source"));
    const what = cell(event.text ? `${event.label}: ${event.text}` : event.label);
    if (several && stream) {
      const where = document.createElement("small");
      where.textContent = stream.facts.name;
      what.append(where);
    }
    row.append(what);
    const open = event.end === null;
    const lasted = event.end === null || event.start === null ? "" : duration(event.end - event.start);
    const momentary = event.kind === "source" && event.end === event.start;
    row.append(cell(open ? "still on" : momentary ? "" : lasted, open ? "number lasting" : "number"));
    row.append(cell(event.peak === null || open ? "" : percent(event.peak), "number"));
    return row;
  }));
  streams.forEach((stream) => {
    stream.chart.events = [...events.values()].filter((event) => event.stream === stream.number);
    stream.chart.changed();
  });
}

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

function open(told) {
  generation += 1;
  over = false;
  notice("");
  rate = told.picture_rate;
  byId("model").textContent = told.model;
  byId("engine").textContent = told.engine;
  byId("version").textContent = told.version;
  document.title = `${told.model} · edgecls`;
  byId("streams").replaceChildren();
  byId("streams").classList.toggle("single", told.streams.length === 1);
  events = new Map();
  streams = told.streams.map((facts, number) => new Stream(number, facts));
  streams.forEach((stream) => stream.watch(generation));
  showEvents();
}

function news(told) {
  for (const [number, points] of Object.entries(told.points)) streams[number].add(points);
  for (const event of told.events) events.set(event.id, event);
  while (events.size > HISTORY) events.delete(events.keys().next().value);
  if (told.events.length) showEvents();
}

function state(told) {
  byId("uptime").textContent = `running for ${duration(told.uptime_s)}`;
  byId("level").hidden = !told.level;
  byId("level").textContent = told.level_text;
  told.streams.forEach((one, number) => streams[number].count(one));
}

function listen() {
  const feed = new EventSource("feed");
  const on = (name, act) => feed.addEventListener(name, (event) => act(JSON.parse(event.data)));
  on("opening", open);
  on("news", news);
  on("state", state);
  on("end", () => {
    over = true;
    feed.close();
    notice("The run has ended. This page looks for a new one.");
    setTimeout(listen, 3000);
  });
  feed.onerror = async () => {
    if (over) { feed.close(); setTimeout(listen, 3000); return; }
    streams.forEach((stream) => stream.show("lost", ""));
    notice("No connection to edgecls. Trying again.");
    if (feed.readyState !== EventSource.CLOSED) return;
    const answer = await fetch("state").catch(() => null);
    if (answer && answer.status === 401) location.href = "login";
    else setTimeout(listen, 3000);
  };
}

showEvents();
listen();
