// Probability over time of the classes that mattered, on a canvas.
"use strict";

const SLOTS = 5;
const LONGEST_S = 120;
const SHORTEST_S = 20;
const NOTABLE = 0.05; // a class that never reached this is not drawn
const CERTAIN = 0.02; // below this a class that is not listed is drawn at 0

class Chart {
  constructor(plot, legend, live) {
    this.canvas = plot.querySelector("canvas");
    this.tip = plot.querySelector(".tip");
    this.legend = legend;
    this.live = live;
    this.points = [];
    this.events = [];
    this.slots = new Array(SLOTS).fill(null); // a class keeps its colour while it is shown
    this.pointer = null;
    this.queued = false;
    new ResizeObserver(() => this.changed()).observe(plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.changed());
    plot.addEventListener("pointermove", (event) => { this.pointer = event.offsetX; this.changed(); });
    plot.addEventListener("pointerleave", () => { this.pointer = null; this.changed(); });
  }

  // Of the stream, not of the day: results that come late are where they belong.
  time(point) { return point.end; }

  changed() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => { this.queued = false; this.draw(); });
  }

  draw() {
    const scale = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (!width || !height) return;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const ink = this.canvas.getContext("2d");
    ink.scale(scale, scale);
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const box = { left: 48, right: width - 8, top: 8, bottom: height - 24 };
    const last = this.points.length ? this.time(this.points[this.points.length - 1]) : 0;
    const first = this.points.length ? this.time(this.points[0]) : 0;
    const span = Math.min(LONGEST_S, Math.max(SHORTEST_S, last - first));
    const x = (time) => box.right - ((last - time) / span) * (box.right - box.left);
    const y = (probability) => box.bottom - probability * (box.bottom - box.top);
    const shown = this.points.filter((point) => this.time(point) >= last - span);
    this.choose(shown);

    ink.font = "12px system-ui, sans-serif";
    ink.lineWidth = 1;
    this.axes(ink, box, span, x, y, colour);
    ink.save();
    ink.beginPath();
    ink.rect(box.left, 0, box.right - box.left + 4, height);
    ink.clip();
    this.bands(ink, box, last - span, x, colour);
    this.slots.forEach((label, slot) => {
      if (label !== null) this.line(ink, shown, label, x, y, colour(`--class-${slot}`));
    });
    ink.restore();
    this.keys(shown);
    this.point(ink, box, shown, x, y, colour);
  }

  // The best class now and those with the highest peaks; who is in keeps its colour.
  choose(shown) {
    const peaks = new Map();
    for (const point of shown) {
      for (const [label, probability] of point.top) {
        if (!(peaks.get(label) >= probability)) peaks.set(label, probability);
      }
    }
    const newest = shown.length ? shown[shown.length - 1].top : [];
    if (newest.length) peaks.set(newest[0][0], 2);
    const best = [...peaks].filter((pair) => pair[1] >= NOTABLE).sort((a, b) => b[1] - a[1]).slice(0, SLOTS).map((pair) => pair[0]);
    this.slots = this.slots.map((label) => (best.includes(label) ? label : null));
    for (const label of best) {
      if (!this.slots.includes(label)) this.slots[this.slots.indexOf(null)] = label;
    }
  }

  axes(ink, box, span, x, y, colour) {
    ink.fillStyle = colour("--muted");
    ink.strokeStyle = colour("--line");
    ink.textBaseline = "middle";
    ink.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      ink.beginPath();
      ink.moveTo(box.left, Math.round(y(share)) + 0.5);
      ink.lineTo(box.right, Math.round(y(share)) + 0.5);
      ink.stroke();
      ink.fillText(share ? `${share * 100} %` : "0", box.left - 7, y(share));
    }
    ink.textBaseline = "alphabetic";
    const most = Math.min(6, (box.right - box.left) / 58);
    const step = [5, 10, 20, 30, 60].find((one) => span / one <= most) || 60;
    const now = this.points.length ? this.time(this.points[this.points.length - 1]) : 0;
    for (let back = 0; back <= span; back += step) {
      const at = x(now - back);
      ink.textAlign = back === 0 ? "right" : "center";
      if (at - box.left > 18 || back === 0) {
        const words = this.live ? (back ? `−${back} s` : "now") : clockTime(now - back);
        if (now - back >= 0) ink.fillText(words, at, box.bottom + 17);
      }
    }
  }

  // Events: a strip along the top for actions, a line over all for what befell the source.
  bands(ink, box, from, x, colour) {
    for (const event of this.events) {
      const begin = event.start;
      if (begin === null) continue;
      const lasted = event.end === null || event.start === null ? null : event.end - event.start;
      const end = lasted === null ? Infinity : begin + lasted;
      if (end < from) continue;
      const left = Math.max(box.left, x(begin));
      const right = Math.min(box.right, Number.isFinite(end) ? x(end) : box.right);
      const slot = this.slots.indexOf(event.label);
      if (event.kind === "source") {
        ink.fillStyle = colour("--bad");
        ink.globalAlpha = 0.18;
        ink.fillRect(left - 1, box.top, Math.max(2, right - left), box.bottom - box.top);
      } else {
        ink.fillStyle = slot < 0 ? colour("--muted") : colour(`--class-${slot}`);
        ink.globalAlpha = 0.13;
        ink.fillRect(left, box.top, Math.max(2, right - left), box.bottom - box.top);
        ink.globalAlpha = 1;
        ink.fillRect(left, box.top - 4, Math.max(2, right - left), 4);
      }
      ink.globalAlpha = 1;
    }
  }

  line(ink, shown, label, x, y, stroke) {
    ink.strokeStyle = stroke;
    ink.lineWidth = 2;
    ink.lineJoin = "round";
    ink.beginPath();
    let before = null;
    for (const point of shown) {
      const value = probabilityOf(point, label);
      const time = this.time(point);
      if (value === null) { before = null; continue; }
      // After a silence, or when the stream began anew, the line does too.
      const broken = before === null || time < before || time - before > Math.max(3, this.pause * 4);
      if (broken) ink.moveTo(x(time), y(value)); else ink.lineTo(x(time), y(value));
      before = time;
    }
    ink.stroke();
  }

  keys(shown) {
    const newest = shown[shown.length - 1];
    const rows = this.slots.map((label, slot) => {
      if (label === null || !newest) return null;
      const value = probabilityOf(newest, label);
      const key = document.createElement("li");
      key.className = `key key${slot}`;
      key.textContent = value === null ? label : `${label} ${percent(value)}`;
      return key;
    });
    this.legend.replaceChildren(...rows.filter((row) => row !== null));
  }

  point(ink, box, shown, x, y, colour) {
    this.tip.hidden = this.pointer === null || !shown.length;
    if (this.tip.hidden) return;
    let nearest = shown[0];
    for (const point of shown) {
      if (Math.abs(x(this.time(point)) - this.pointer) < Math.abs(x(this.time(nearest)) - this.pointer)) nearest = point;
    }
    const at = x(this.time(nearest));
    ink.strokeStyle = colour("--muted");
    ink.lineWidth = 1;
    ink.beginPath();
    ink.moveTo(Math.round(at) + 0.5, box.top);
    ink.lineTo(Math.round(at) + 0.5, box.bottom);
    ink.stroke();
    const heading = document.createElement("p");
    heading.textContent = this.live ? dayTime(nearest.at) : `${clockTime(nearest.start)} – ${clockTime(nearest.end)}`;
    const rows = nearest.top.slice(0, SLOTS).map(([label, probability]) => {
      const row = document.createElement("p");
      const slot = this.slots.indexOf(label);
      row.className = slot < 0 ? "key" : `key key${slot}`;
      row.textContent = `${percent(probability)}  ${label}`;
      return row;
    });
    this.tip.replaceChildren(heading, ...rows);
    const room = this.canvas.clientWidth - this.tip.offsetWidth - 4;
    this.tip.style.left = `${Math.max(0, Math.min(room, at > room ? at - this.tip.offsetWidth - 12 : at + 12))}px`;
  }

  // Usual time from one result to the next.
  get pause() {
    const points = this.points.slice(-20);
    if (points.length < 2) return 1;
    return (this.time(points[points.length - 1]) - this.time(points[0])) / (points.length - 1);
  }
}

// What is listed; else 0 where it can be little more than that; else null.
function probabilityOf(point, label) {
  let rest = 1, least = 1;
  for (const [name, probability] of point.top) {
    if (name === label) return probability;
    rest -= probability;
    least = Math.min(least, probability);
  }
  return Math.min(rest, least) <= CERTAIN ? 0 : null;
}

function percent(probability) {
  const value = probability * 100;
  return `${value >= 99.95 || value < 0.05 ? Math.round(value) : value.toFixed(1)} %`;
}

function dayTime(unix) {
  return new Date(unix * 1000).toLocaleTimeString([], { hourCycle: "h23" });
}

function clockTime(seconds) {
  const whole = Math.max(0, seconds);
  const minutes = Math.floor(whole / 60), rest = whole - minutes * 60;
  return `${minutes}:${rest < 10 ? "0" : ""}${rest.toFixed(rest % 1 > 0.05 && rest % 1 < 0.95 ? 1 : 0)}`;
}
