"""The look of the page of a calibration report: light, dark, on paper, on a phone."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f7f9; --ink: #1b2330; --faint: #596374; --rule: #dce1e7;
  --fp32: #98a4b3; --int8: #1c6db0; --loss: #c0451a; --kept: #1c6db0; --good: #23734a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --panel: #1a2029; --ink: #e7eaef; --faint: #9ca7b5; --rule: #2e3743;
    --fp32: #6f7b8b; --int8: #62b0ea; --loss: #f28b61; --kept: #62b0ea; --good: #70c596;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
header, main, footer { max-width: 64rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
footer { padding-top: 1rem; padding-bottom: 3rem; color: var(--faint); font-size: .875rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .1rem 0 1rem; overflow-wrap: anywhere; }
h2 {
  font-size: 1.3rem; line-height: 1.3; margin: 2.75rem 0 .75rem; padding-top: 1rem;
  border-top: 2px solid var(--rule); overflow-wrap: anywhere;
}
h3 { font-size: 1.05rem; margin: 2.25rem 0 .35rem; }
p { margin: .35rem 0 .75rem; max-width: 46rem; }
bdi { unicode-bidi: isolate; overflow-wrap: anywhere; }
.kicker { color: var(--faint); font-size: .875rem; margin: 0; letter-spacing: .02em; }
.verdict { font-size: 1.125rem; max-width: none; margin: 0 0 1rem; }
.verdict, .faint, .notes { overflow-wrap: anywhere; }
.faint { color: var(--faint); }
.notes { margin: 0 0 1rem; padding-left: 1.1rem; color: var(--faint); font-size: .9375rem; }
.notes li { margin: .2rem 0; }
nav { display: flex; flex-wrap: wrap; gap: .4rem; margin: 1rem 0 0; font-size: .9rem; }
nav a {
  color: var(--ink); text-decoration: none; border: 1px solid var(--rule); border-radius: 99px;
  padding: .15rem .7rem; overflow-wrap: anywhere;
}
nav a:hover, nav a:focus-visible { border-color: var(--int8); color: var(--int8); }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: .75rem;
  margin: 1rem 0 1.25rem;
}
.tile { background: var(--panel); border: 1px solid var(--rule); border-radius: .6rem;
  padding: .75rem .9rem; break-inside: avoid; }
.tile p { margin: 0; }
.tile .what { color: var(--faint); font-size: .85rem; }
.tile .figure { font-size: 1.65rem; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.tile .figure.good { color: var(--good); }
.tile .figure.bad { color: var(--loss); }
.tile .more { color: var(--faint); font-size: .85rem; overflow-wrap: anywhere; }
.side { display: grid; grid-template-columns: minmax(0, 1fr); gap: .5rem 2rem; }
@media (min-width: 52rem) {
  .side { grid-template-columns: minmax(0, 26rem) minmax(0, 1fr); align-items: start; }
}
figure { margin: .5rem 0; break-inside: avoid; }
figcaption { color: var(--faint); font-size: .875rem; margin-top: .3rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .4rem 0 .75rem; }
caption { text-align: left; color: var(--faint); font-size: .875rem; padding-bottom: .25rem; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; overflow-wrap: anywhere; }
th:first-child { padding-left: .4rem; }
th:last-child, td:last-child { padding-right: .4rem; }
caption { padding-left: .4rem; }
thead th { color: var(--faint); font-weight: 500; vertical-align: bottom; overflow-wrap: normal; }
tbody th { font-weight: 500; min-width: 4.5rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.nowrap { white-space: nowrap; }
.small { display: block; color: var(--faint); font-size: .8125rem; }
tr.marked th, tr.marked td { background: color-mix(in srgb, var(--int8) 9%, transparent); }
.mark { display: inline-block; border: 1px solid currentColor; border-radius: .3rem;
  color: var(--int8); font-size: .75rem; line-height: 1.3; padding: 0 .3rem; white-space: nowrap; }
.mark.other { color: var(--loss); }
details { margin: .25rem 0 1rem; }
summary { cursor: pointer; color: var(--int8); font-size: .9rem; padding: .2rem 0; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr);
  gap: .3rem 1.25rem; margin: .5rem 0 1rem; font-size: .9375rem; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--int8); outline-offset: 2px; }

svg { display: block; width: 100%; height: auto; }
svg.plot { overflow: visible; }
svg text { fill: var(--ink); font-size: 12px; font-family: inherit;
  font-variant-numeric: tabular-nums; }
svg text.name { font-weight: 600; font-size: 13px; }
svg text.faint { fill: var(--faint); }
svg text.end { text-anchor: end; }
svg text.middle { text-anchor: middle; }
svg text.bad, svg text.limit { fill: var(--loss); }
svg rect.fp32 { fill: var(--fp32); }
svg rect.int8, svg path.int8, svg circle.int8 { fill: var(--int8); }
svg rect.other, svg path.cut, svg rect.loss { fill: var(--loss); }
svg rect.same { fill: var(--int8); }
svg rect.empty { fill: var(--panel); }
svg rect.kept { fill: var(--kept); fill-opacity: .13; }
svg line { stroke: var(--rule); stroke-width: 1; }
svg line.fp32 { stroke: var(--fp32); stroke-width: 2; }
svg line.limit { stroke: var(--loss); stroke-width: 1.5; stroke-dasharray: 5 4; }
svg line.zero { stroke: var(--faint); stroke-dasharray: 2 2; }
svg line.axis { stroke: var(--faint); }
svg polyline.int8 { fill: none; stroke: var(--int8); stroke-width: 2; }
svg circle.final { stroke: var(--paper); stroke-width: 2; }
svg.bar { height: .7rem; min-width: 3rem; margin-top: .35rem; }
td.bar { width: 34%; }
td.histogram { width: 11rem; }
td.histogram svg { width: 10rem; }

@media (max-width: 34rem) {
  header, main, footer { padding-left: 1rem; padding-right: 1rem; }
  h1 { font-size: 1.45rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .5rem; }
  .tile { padding: .6rem .7rem; }
  .tile .figure { font-size: 1.35rem; }
  td.bar { width: 26%; }
  td.histogram { width: 7.5rem; }
  td.histogram svg { width: 7rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .5rem; }
  .spare { display: none; }
}
@media print {
  :root {
    --paper: #fff; --panel: #f5f7f9; --ink: #000; --faint: #444; --rule: #ccc;
    --fp32: #98a4b3; --int8: #1c6db0; --loss: #b23c12; --kept: #1c6db0; --good: #1d6540;
  }
  html { font-size: 9.5pt; }
  body { font-size: 1rem; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  header, main, footer { max-width: none; padding: 0; }
  nav { display: none; }
  h2, h3, h3 + p, caption, thead { break-after: avoid; }
  tr, .tile { break-inside: avoid; }
  .side { grid-template-columns: minmax(0, 9cm) minmax(0, 1fr); }
  .wide { overflow: visible; }
}
@page { margin: 15mm; }
"""
"""A style sheet that fetches nothing. On paper, what is folded stays folded: its first lines are
what matters, and the whole is in report.json."""
