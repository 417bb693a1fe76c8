"use strict";
(() => {
  const data = JSON.parse(document.getElementById("slices").textContent);
  const byId = (id) => document.getElementById(id);
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const showTip = (event, text) => {
    tip.textContent = text;
    tip.hidden = !text;
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + "px";
  };

  // Charts: the nearest point of every line under the pointer.
  for (const svg of document.querySelectorAll("svg.chart")) {
    const scale = (name) => svg.dataset[name].split(" ").map(Number);
    const value = ([from, to, low, high], at) => from + (at - low) * (to - from) / (high - low);
    const lines = [...svg.querySelectorAll("polyline")].map((line) => ({
      label: line.textContent,
      points: line.getAttribute("points").split(" ").filter(Boolean).map((p) => p.split(",").map(Number)),
    })).filter((line) => line.points.length);
    svg.addEventListener("pointerleave", () => { tip.hidden = true; });
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const at = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
      const near = (line) => line.points.reduce((a, b) => Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a);
      const rows = lines.map((line) => {
        const point = near(line);
        return Math.abs(point[0] - at) < 150 ? line.label + "  " + value(scale("y"), point[1]).toFixed(1) + " %" : "";
      }).filter(Boolean);
      const x = value(scale("x"), at);
      showTip(event, rows.length ? "at " + x.toFixed(0) + " %\n" + rows.join("\n") : "");
    });
  }

  // Map: colours by class of size.
  const sizes = ["share up to 250", "share up to 500", "share", "1 GPU", "2 GPUs", "4 GPUs", "8 GPUs"];
  const whole = (slice) => slice.charCodeAt(0) >= 97 ? slice.charCodeAt(0) - 96 : 0;
  const sizeOf = (slice) => {
    const gpus = whole(slice);
    if (gpus) return gpus === 1 ? 3 : gpus === 2 ? 4 : gpus <= 4 ? 5 : 6;
    return slice <= 250 ? 0 : slice <= 500 ? 1 : 2;
  };
  byId("map-key").innerHTML = sizes.map((size, i) => `<span style="background:var(--s${i})"></span>${size}`).join("");
  const canvas = byId("map-canvas"), select = byId("map-policy");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const order = data.nodes.map((_, i) => i).sort((a, b) =>
    data.nodes[a][1] - data.nodes[b][1] || data.nodes[b][2] - data.nodes[a][2] || a - b);
  const side = data.nodes.length > 4000 ? 7 : 11;
  let boxes = [], chosen = -1, drawn;

  const shape = (node) => {
    const columns = Math.min(Math.max(node[2], 1), 4);
    return [columns, Math.max(Math.ceil(node[2] / columns), 1)];
  };
  const layOut = () => {
    const width = Math.max(canvas.parentElement.clientWidth, 320);
    let x = 0, y = 0, kind = "", tallest = 0;
    const titles = [];
    boxes = [];
    for (const index of order) {
      const node = data.nodes[index], [columns, rows] = shape(node);
      const w = columns * (side + 1) + 5, h = rows * (side + 1) + 5;
      const own = data.models[node[1]] + ", " + node[2] + " GPUs";
      if (own !== kind) {
        y += tallest + (kind ? 26 : 16);
        x = 0; tallest = 0; kind = own;
        titles.push([own, y - 4]);
      } else if (x + w > width) {
        x = 0; y += tallest; tallest = 0;
      }
      boxes.push({ index, x, y, w, h, columns });
      x += w;
      tallest = Math.max(tallest, h);
    }
    return { width, height: y + tallest + 4, titles };
  };
  const draw = () => {
    const run = data.runs[Number(select.value)];
    byId("map-note").textContent = data.left_out.length
      ? "To keep this file small the map leaves out: " + data.left_out.join(", ") + "." : "";
    if (!run) { canvas.hidden = true; return; }
    canvas.hidden = false;
    const { width, height, titles } = layOut();
    const dense = height > 8000 ? 1 : Math.min(devicePixelRatio || 1, 2);
    canvas.width = width * dense;
    canvas.height = height * dense;
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const fills = sizes.map((_, i) => colour("--s" + i));
    const pen = canvas.getContext("2d");
    pen.scale(dense, dense);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = colour("--soft");
    for (const [text, y] of titles) pen.fillText(text, 0, y);
    const free = colour("--card"), rule = colour("--rule");
    boxes.forEach((box, place) => {
      run.gpus[box.index].split(";").slice(0, data.nodes[box.index][2]).forEach((gpu, i) => {
        const x = box.x + 1 + (i % box.columns) * (side + 1);
        const y = box.y + 1 + Math.floor(i / box.columns) * (side + 1);
        pen.fillStyle = free;
        pen.fillRect(x, y, side, side);
        let from = 0;
        for (const slice of gpu ? gpu.split(",") : []) {
          const wide = (whole(slice) ? 1000 : Number(slice)) * side / 1000;
          pen.fillStyle = fills[sizeOf(slice)];
          pen.fillRect(x + from, y, Math.max(wide - (from + wide < side ? .5 : 0), .5), side);
          from += wide;
        }
      });
      pen.strokeStyle = place === chosen ? colour("--ink") : rule;
      pen.lineWidth = place === chosen ? 2 : 1;
      pen.strokeRect(box.x - .5, box.y - .5, box.w - 2, box.h - 2);
    });
    drawn = run;
    let used = 0, gpus = 0;
    data.nodes.forEach((node, i) => { gpus += node[2]; used += milli(run.gpus[i]); });
    canvas.setAttribute("aria-label", `slice map of ${run.policy}: ${data.nodes.length} nodes, ` +
      `${(used / 1000).toFixed(1)} of ${gpus} GPUs in use`);
  };
  const milli = (text) => text.split(/[;,]/).filter(Boolean)
    .reduce((sum, slice) => sum + (whole(slice) ? 1000 : Number(slice)), 0);
  const describe = (box) => {
    const [name, model, gpus, cpu] = data.nodes[box.index];
    const slices = drawn.gpus[box.index].split(";").map((gpu, i) => gpus ? `GPU ${i}: ` + (gpu ? gpu.split(",").map((slice) =>
      whole(slice) ? `whole, of ${whole(slice)}` : slice).join(" + ") : "free") : "");
    const free = drawn.cpu_free[box.index] / 1000;
    return `${name} (${data.models[model]}), ${(milli(drawn.gpus[box.index]) / 1000).toFixed(2)} of ${gpus} GPUs in use, ` +
      `${free} of ${cpu / 1000} cores free\n` + slices.join("\n");
  };
  const choose = (place) => {
    if (!drawn || place === chosen) return;
    chosen = place;
    byId("map-node").textContent = place < 0 ? "" : describe(boxes[place]).replaceAll("\n", " · ");
    draw();
  };
  canvas.addEventListener("pointermove", (event) => {
    const at = canvas.getBoundingClientRect();
    const x = event.clientX - at.left, y = event.clientY - at.top;
    const place = boxes.findIndex((box) => x >= box.x && x < box.x + box.w && y >= box.y && y < box.y + box.h);
    showTip(event, place < 0 ? "" : describe(boxes[place]));
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("click", (event) => {
    const at = canvas.getBoundingClientRect();
    const x = event.clientX - at.left, y = event.clientY - at.top;
    choose(boxes.findIndex((box) => x >= box.x && x < box.x + box.w && y >= box.y && y < box.y + box.h));
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(Math.min(Math.max(chosen + step, 0), boxes.length - 1));
  });
  select.addEventListener("change", draw);
  dark.addEventListener("change", draw);
  let late;
  addEventListener("resize", () => { clearTimeout(late); late = setTimeout(draw, 100); });
  draw();
})();
