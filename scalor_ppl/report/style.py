"""The page's style sheet, and the script that steps through clips."""

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --raised: #f5f6f8; --ink: #1c2024; --soft: #5b6470; --rule: #dfe3e8;
  --c1: #1f6fc4; --c2: #d9730d; --c3: #2b8a57;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --raised: #1d2126; --ink: #e4e7eb; --soft: #98a2ae; --rule: #30363d;
    --c1: #6cb2f7; --c2: #f2a154; --c3: #6fcf97;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1000px; padding: 28px 20px 60px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { margin: 0 0 4px; font-size: 28px; overflow-wrap: anywhere; }
h2 { margin: 44px 0 12px; padding-top: 14px; border-top: 1px solid var(--rule); font-size: 20px; }
h3 { margin: 0 0 4px; font-size: 13px; font-weight: 600; }
nav { margin: 14px 0 18px; display: flex; flex-wrap: wrap; gap: 4px 16px; }
a { color: var(--c1); text-decoration: none; }
a:hover { text-decoration: underline; }
dl {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 1px;
  margin: 0; border: 1px solid var(--rule); border-radius: 8px; overflow: hidden;
  background: var(--raised);
}
dl div { display: flex; gap: 10px; padding: 6px 12px; }
dt { flex: 0 0 104px; color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 0 0 26px; }
figcaption, .note { max-width: 78ch; margin-top: 8px; color: var(--soft); font-size: 14px; }
img, video { display: block; max-width: 100%; height: auto; border-radius: 4px; }
.squares { image-rendering: pixelated; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 18px; }
.row { display: flex; flex-wrap: wrap; gap: 18px; }
.player div, .player label { display: flex; align-items: center; gap: 10px; }
.player div {
  max-width: 560px; margin-top: 8px; color: var(--soft); font-size: 14px;
  font-variant-numeric: tabular-nums;
}
.player div[hidden] { display: none; }
.player label { flex: 1; }
.player input { flex: 1; accent-color: var(--c1); }
button {
  width: 62px; padding: 2px 0; border: 1px solid var(--rule); border-radius: 5px;
  background: var(--raised); color: var(--ink); font: inherit; cursor: pointer;
}
.sheet { display: grid; grid-template-columns: 72px minmax(0, 1fr); gap: 4px 8px; }
.sheet img { width: 100%; border-radius: 0; }
.sheet, .sheet div { font-size: 13px; color: var(--soft); }
.sheet div { display: flex; }
.sheet div span { flex: 1; text-align: center; }
.lives { display: grid; gap: 6px; }
.life { display: grid; grid-template-columns: 14px 34px 112px minmax(0, 1fr); gap: 8px; }
.life, .sheet { align-items: center; }
.life i { width: 14px; height: 44px; border-radius: 3px; }
.life div { display: flex; flex-wrap: wrap; gap: 3px; }
.life img { border-radius: 2px; }
.life span { color: var(--soft); font-size: 13px; }
table { margin: 0 0 16px; border-collapse: collapse; }
th, td { padding: 3px 22px 3px 0; text-align: left; font-weight: 400; }
th { color: var(--soft); }
td { font-variant-numeric: tabular-nums; }
summary { cursor: pointer; }
pre {
  padding: 14px; border: 1px solid var(--rule); border-radius: 8px; background: var(--raised);
  font-size: 13px; overflow-x: auto;
}
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--rule); stroke-width: 1; }
.line { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round; }
.faint { stroke-width: 1; opacity: 0.35; }
.dashed { stroke-dasharray: 5 4; }
.area { fill: currentColor; opacity: 0.22; }
circle, .bar { fill: currentColor; }
.c1 { color: var(--c1); }
.c2 { color: var(--c2); }
.c3 { color: var(--c3); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; padding-left: 46px; font-size: 13px; }
.legend span { display: flex; align-items: center; gap: 7px; color: var(--soft); }
.key { width: 20px; border-top: 3px solid currentColor; }
.key.dashed { border-top-style: dashed; }
.key.area { height: 11px; border: 0; background: currentColor; }
"""

SCRIPT: Final = """
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
for (const player of document.querySelectorAll(".player")) {
  const video = player.querySelector("video");
  const button = player.querySelector("button");
  const slider = player.querySelector("input");
  const shown = player.querySelector("output");
  const frames = Number(slider.max);
  // The browser's own controls, there for want of this script, hide a small clip's lower part.
  video.controls = false;
  player.querySelector("div").hidden = false;
  const named = () => { button.textContent = video.paused ? "play" : "pause"; };
  const start = () => { video.play().catch(named); };
  const show = () => {
    if (!video.paused && video.duration) {
      const frame = 1 + Math.floor((video.currentTime / video.duration) * frames);
      slider.value = shown.value = Math.min(frames, frame);
    }
    requestAnimationFrame(show);
  };
  video.addEventListener("play", named);
  video.addEventListener("pause", named);
  button.addEventListener("click", () => { video.paused ? start() : video.pause(); });
  slider.addEventListener("input", () => {
    video.pause();
    shown.value = slider.value;
    video.currentTime = ((Number(slider.value) - 0.5) / frames) * video.duration;
  });
  requestAnimationFrame(show);
  if (still) { named(); } else { start(); }
}
"""
