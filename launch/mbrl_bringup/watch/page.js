'use strict';
// A recorded scene and its curves, at the time that the slider says. All that is needed is in the page.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10];
const FIELD_OF_VIEW = Math.PI / 4;
const PALETTE = ['#4e9bff', '#ff9f40', '#3fbf7f', '#e05d7b', '#a78bfa', '#c9b458', '#6fd3e0', '#999999'];
const byId = (name) => document.getElementById(name);

// ---- What is in the page -------------------------------------------------------------------------

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

async function unpack(text) {
  const stream = new Blob([bytesOf(text.trim())]).stream();
  return JSON.parse(await new Response(stream.pipeThrough(new DecompressionStream('gzip'))).text());
}

// Rows of numbers; each column lies between its own bounds, in 65535 parts.
function rowsOf(field) {
  const parts = new Uint16Array(bytesOf(field.data).buffer), width = field.low.length;
  const values = new Float32Array(parts.length);
  for (let i = 0; i < parts.length; i++) {
    const column = i % width;
    values[i] = field.low[column] + (parts[i] / 65535) * (field.high[column] - field.low[column]);
  }
  return values;
}

function shapesOf(blob) {
  const shapes = { kind: blob.kind, count: blob.count, colours: bytesOf(blob.colours) };
  for (const [name, field] of Object.entries(blob.fields)) shapes[name] = rowsOf(field);
  if (blob.lengths) shapes.lengths = blob.lengths;
  return shapes;
}

// The last entry [time, ...] that is not after a time; -1: none.
function lastBefore(entries, time) {
  let low = 0, high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle][0] <= time) low = middle + 1; else high = middle;
  }
  return low - 1;
}

// ---- Shapes as triangles and lines ---------------------------------------------------------------

class Floats {
  constructor() { this.values = new Float32Array(1 << 14); this.length = 0; }
  push(...more) {
    if (this.length + more.length > this.values.length) {
      const larger = new Float32Array(2 * this.values.length);
      larger.set(this.values);
      this.values = larger;
    }
    for (const value of more) this.values[this.length++] = value;
  }
}

// Unit shapes: for each corner its place and the surface's direction there.
function round(rings, sides, profile) {
  const corners = [];
  const at = (ring, side) => {
    const turn = (2 * Math.PI * side) / sides, [radius, z, outward, up] = profile(ring / rings);
    const [c, s] = [Math.cos(turn), Math.sin(turn)];
    return [radius * c, radius * s, z, outward * c, outward * s, up];
  };
  for (let ring = 0; ring < rings; ring++)
    for (let side = 0; side < sides; side++) {
      const [a, b, c, d] = [at(ring, side), at(ring, side + 1), at(ring + 1, side), at(ring + 1, side + 1)];
      corners.push(a, b, c, b, d, c);
    }
  return corners;
}
function ballOf(rings, sides) {
  return round(rings, sides, (share) => {
    const turn = Math.PI * (share - 0.5), [c, s] = [Math.cos(turn), Math.sin(turn)];
    return [c / 2, s / 2, c, s];
  });
}
function boxCorners() {
  const corners = [];
  for (let axis = 0; axis < 3; axis++)
    for (const sign of [-1, 1]) {
      const direction = [0, 0, 0];
      direction[axis] = sign;
      for (const [u, v] of [[-1, -1], [1, -1], [-1, 1], [1, -1], [1, 1], [-1, 1]]) {
        const place = [0, 0, 0];
        place[axis] = sign / 2;
        place[(axis + 1) % 3] = u / 2;
        place[(axis + 2) % 3] = v / 2;
        corners.push([...place, ...direction]);
      }
    }
  return corners;
}
const disc = (z) => round(1, 20, (share) => [share / 2, z, 0, Math.sign(z)]);
const CONE = [...round(1, 16, (share) => [(1 - share) / 2, share, 0.8, 0.6]), ...disc(0)];
const UNIT = {
  Boxes: boxCorners(),
  Ellipsoids: ballOf(10, 16),
  Cylinders: [...round(1, 20, (share) => [0.5, share - 0.5, 1, 0]), ...disc(-0.5), ...disc(0.5)],
};
const BEAD = ballOf(5, 8);

function turnOf(x, y, z, w) {
  return [
    1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
    2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
    2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
  ];
}

// What is drawn of one moment: opaque and transparent triangles and lines.
class Picture {
  constructor() {
    this.faces = [new Floats(), new Floats()];
    this.lines = [new Floats(), new Floats()];
  }
  add(shapes) { this['add' + shapes.kind](shapes); }
  colour(shapes, index) {
    const start = shapes.colours.length === 4 ? 0 : 4 * index;
    return Array.from(shapes.colours.subarray(start, start + 4), (value) => value / 255);
  }
  solid(unit, centre, size, turn, colour) {
    const out = this.faces[colour[3] < 1 ? 1 : 0];
    for (const [x, y, z, nx, ny, nz] of unit) {
      const [a, b, c] = [x * size[0], y * size[1], z * size[2]];
      const [u, v, w] = [nx / (size[0] || 1), ny / (size[1] || 1), nz / (size[2] || 1)];
      out.push(
        turn[0] * a + turn[1] * b + turn[2] * c + centre[0],
        turn[3] * a + turn[4] * b + turn[5] * c + centre[1],
        turn[6] * a + turn[7] * b + turn[8] * c + centre[2],
        turn[0] * u + turn[1] * v + turn[2] * w,
        turn[3] * u + turn[4] * v + turn[5] * w,
        turn[6] * u + turn[7] * v + turn[8] * w,
        ...colour);
    }
  }
  solids(shapes) {
    for (let i = 0; i < shapes.count; i++) {
      const row = (values, width) => values.subarray(width * i, width * (i + 1));
      const turn = turnOf(...row(shapes.quaternions, 4));
      this.solid(UNIT[shapes.kind], row(shapes.centres, 3), row(shapes.sizes, 3), turn, this.colour(shapes, i));
    }
  }
  addBoxes(shapes) { this.solids(shapes); }
  addEllipsoids(shapes) { this.solids(shapes); }
  addCylinders(shapes) { this.solids(shapes); }
  addPoints(shapes) {
    for (let i = 0; i < shapes.count; i++) {
      const size = 2 * shapes.radii[i];
      const place = shapes.positions.subarray(3 * i, 3 * i + 3);
      this.solid(BEAD, place, [size, size, size], turnOf(0, 0, 0, 1), this.colour(shapes, i));
    }
  }
  addTriangles(shapes) {
    const p = shapes.corners;
    for (let i = 0; i < p.length / 9; i++) {
      const [a, b, c] = [9 * i, 9 * i + 3, 9 * i + 6];
      const u = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]];
      const v = [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]];
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const [corner, start] of [a, b, c].entries()) {
        const colour = this.colour(shapes, 3 * i + corner);
        this.faces[colour[3] < 1 ? 1 : 0].push(p[start], p[start + 1], p[start + 2], ...n, ...colour);
      }
    }
  }
  addLines(shapes) {
    let first = 0;
    for (const [line, length] of shapes.lengths.entries()) {
      const colour = this.colour(shapes, line), out = this.lines[colour[3] < 1 ? 1 : 0];
      for (let i = first; i < first + length - 1; i++) {
        const ends = shapes.points.subarray(3 * i, 3 * i + 6);
        for (const [end, side] of [[0, -1], [1, -1], [0, 1], [1, -1], [1, 1], [0, 1]])
          out.push(...ends, end, side, shapes.radii[line], ...colour);
      }
      first += length;
    }
  }
  addArrows(shapes) {
    for (let i = 0; i < shapes.count; i++) {
      const vector = shapes.vectors.subarray(3 * i, 3 * i + 3), length = Math.hypot(...vector) || 1e-9;
      const [x, y, z] = Array.from(vector, (value) => value / length);
      const half = Math.sqrt(Math.max((1 + z) / 2, 0));  // the turn of the z axis to there
      const turn = half < 1e-6 ? turnOf(1, 0, 0, 0) : turnOf(-y / (2 * half), x / (2 * half), 0, half);
      const head = Math.min(0.25 * length, 8 * shapes.radii[i]), shaft = length - head;
      const origin = shapes.origins.subarray(3 * i, 3 * i + 3), width = 2 * shapes.radii[i];
      const along = (way) => [origin[0] + x * way, origin[1] + y * way, origin[2] + z * way];
      const colour = this.colour(shapes, i);
      this.solid(UNIT.Cylinders, along(shaft / 2), [width, width, shaft], turn, colour);
      this.solid(CONE, along(shaft), [2.5 * width, 2.5 * width, head], turn, colour);
    }
  }
  addGrid(grid) {
    const half = (grid.cells * grid.size) / 2;
    const axes = grid.plane.split('').map((axis) => 'XYZ'.indexOf(axis));
    for (let i = 0; i <= grid.cells; i++)
      for (const [along, across] of [axes, [axes[1], axes[0]]]) {
        const ends = [0, 0, 0, 0, 0, 0];
        ends[along] = -half;
        ends[3 + along] = half;
        ends[across] = ends[3 + across] = i * grid.size - half;
        for (const [end, side] of [[0, -1], [1, -1], [0, 1], [1, -1], [1, 1], [0, 1]])
          this.lines[1].push(...ends, end, side, 0, ...grid.colour);
      }
  }
}

// ---- Drawing it ----------------------------------------------------------------------------------

const FACES = [`#version 300 es
in vec3 place; in vec3 outward; in vec4 colour;
uniform mat4 toScreen; uniform vec3 eye;
out vec4 shade;
void main() {
  float light = abs(dot(normalize(outward), normalize(eye - place)));
  shade = vec4(colour.rgb * (0.45 + 0.55 * light), colour.a);
  gl_Position = toScreen * vec4(place, 1.0);
}`, { place: 3, outward: 3, colour: 4 }];
const LINES = [`#version 300 es
in vec3 begin; in vec3 end; in vec2 corner; in float radius; in vec4 colour;
uniform mat4 toScreen; uniform vec2 size; uniform float focus;
out vec4 shade;
void main() {
  vec4 a = toScreen * vec4(begin, 1.0), b = toScreen * vec4(end, 1.0);
  float near = 0.001;  // nothing behind the eye can be divided by its distance
  if (a.w < near && b.w < near) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
  if (a.w < near) a = mix(a, b, (near - a.w) / (b.w - a.w));
  if (b.w < near) b = mix(b, a, (near - b.w) / (a.w - b.w));
  vec2 way = (b.xy / b.w - a.xy / a.w) * size;
  way = length(way) > 0.0 ? normalize(way) : vec2(1.0, 0.0);
  vec4 place = corner.x < 0.5 ? a : b;
  float width = max(radius * focus / place.w, 0.75);  // pixels to each side
  place.xy += vec2(-way.y, way.x) * corner.y * width * 2.0 / size * place.w;
  gl_Position = place;
  shade = colour;
}`, { begin: 3, end: 3, corner: 2, radius: 1, colour: 4 }];
const PAINT = `#version 300 es
precision mediump float;
in vec4 shade; out vec4 painted;
void main() { painted = vec4(shade.rgb * shade.a, shade.a); }`;

class Brush {
  constructor(gl, [source, inputs]) {
    this.gl = gl;
    this.program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, source], [gl.FRAGMENT_SHADER, PAINT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(this.program));
    this.buffer = gl.createBuffer();
    this.array = gl.createVertexArray();
    this.width = Object.values(inputs).reduce((sum, size) => sum + size, 0);
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    let start = 0;
    for (const [name, size] of Object.entries(inputs)) {
      const input = gl.getAttribLocation(this.program, name);
      gl.enableVertexAttribArray(input);
      gl.vertexAttribPointer(input, size, gl.FLOAT, false, 4 * this.width, 4 * start);
      start += size;
    }
  }
  draw(floats, camera) {
    if (!floats.length) return;
    const gl = this.gl, where = (name) => gl.getUniformLocation(this.program, name);
    gl.useProgram(this.program);
    gl.uniformMatrix4fv(where('toScreen'), false, camera.matrix);
    gl.uniform3fv(where('eye'), camera.eye);
    gl.uniform2fv(where('size'), camera.size);
    gl.uniform1f(where('focus'), camera.focus);
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, floats.values.subarray(0, floats.length), gl.DYNAMIC_DRAW);
    gl.drawArrays(gl.TRIANGLES, 0, floats.length / this.width);
  }
}

// As RViz's orbit: about a focal point, at a distance, turned by yaw about z and then by pitch.
function cameraOf(view, width, height) {
  const [cy, sy, cp, sp] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
  const back = [cy * cp, sy * cp, sp], right = [-sy, cy, 0], up = [-cy * sp, -sy * sp, cp];
  const eye = back.map((part, axis) => view.focus[axis] + view.distance * part);
  const far = 100 * view.distance, near = 0.01 * view.distance;
  const reach = 1 / Math.tan(FIELD_OF_VIEW / 2), aspect = width / height;
  const rows = [
    [...right.map((part) => (part * reach) / aspect)], [...up.map((part) => part * reach)],
    back.map((part) => (part * (far + near)) / (near - far)), back.map((part) => -part)];
  const move = rows.map((row) => -row.reduce((sum, part, axis) => sum + part * eye[axis], 0));
  move[2] += (2 * far * near) / (near - far);
  const matrix = new Float32Array(16);
  for (let row = 0; row < 4; row++) {
    for (let column = 0; column < 3; column++) matrix[4 * column + row] = rows[row][column];
    matrix[12 + row] = move[row];
  }
  return { matrix, eye, right, up, size: [width, height], focus: (reach * height) / 2 };
}

class Scene {
  constructor(data) {
    this.data = data;
    this.view = { ...data.view, focus: [...data.view.focus] };
    this.hidden = new Set(data.topics.filter((topic) => !topic.shown).map((topic) => topic.name));
    this.cache = new Map();
    this.canvas = byId('canvas');
    this.gl = this.canvas.getContext('webgl2', { antialias: true, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error('This browser cannot draw in three dimensions here (WebGL 2).');
    this.brushes = { faces: new Brush(this.gl, FACES), lines: new Brush(this.gl, LINES) };
    this.picture = null;
    this.listen();
  }
  at(time) {
    const picture = new Picture();
    picture.addGrid(this.data.grid);
    for (const place of this.data.places) {
      const last = lastBefore(place.events, time), blob = last < 0 ? -1 : place.events[last][1];
      if (blob >= 0 && !this.hidden.has(place.topic)) picture.add(this.shapes(blob));
    }
    this.picture = picture;
    this.draw();
  }
  shapes(blob) {
    if (!this.cache.has(blob)) {
      if (this.cache.size > 200) this.cache.clear();
      this.cache.set(blob, shapesOf(this.data.blobs[blob]));
    }
    return this.cache.get(blob);
  }
  draw() {
    const ratio = window.devicePixelRatio || 1, gl = this.gl;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((size) => Math.max(Math.round(size * ratio), 1));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const camera = cameraOf(this.view, width, height);
    this.camera = camera;
    gl.viewport(0, 0, width, height);
    gl.clearColor(...this.data.background, 1);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthMask(true);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    for (const transparent of [0, 1]) {
      gl.depthMask(!transparent);
      this.brushes.faces.draw(this.picture.faces[transparent], camera);
      this.brushes.lines.draw(this.picture.lines[transparent], camera);
    }
  }
  listen() {
    const pointers = new Map();
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return Math.hypot(a.x - b.x, a.y - b.y);
    };
    this.canvas.addEventListener('pointerdown', (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    for (const name of ['pointerup', 'pointercancel'])
      this.canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
    this.canvas.addEventListener('pointermove', (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
      const apart = pointers.size === 2 ? spread() : 0;
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (pointers.size === 2) this.view.distance *= apart / Math.max(spread(), 1);
      else if (event.shiftKey || event.buttons & 6) {
        const step = (2 * this.view.distance * Math.tan(FIELD_OF_VIEW / 2)) / this.canvas.clientHeight;
        for (let axis = 0; axis < 3; axis++)
          this.view.focus[axis] += step * (dy * this.camera.up[axis] - dx * this.camera.right[axis]);
      } else {
        this.view.yaw -= dx * 0.008;
        this.view.pitch = Math.min(Math.max(this.view.pitch + dy * 0.008, -Math.PI / 2), Math.PI / 2);
      }
      this.draw();
    });
    this.canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.view.distance *= Math.exp(event.deltaY * 0.001);
      this.draw();
    }, { passive: false });
    this.canvas.addEventListener('contextmenu', (event) => event.preventDefault());
    this.canvas.addEventListener('dblclick', () => {
      this.view = { ...this.data.view, focus: [...this.data.view.focus] };
      this.draw();
    });
    new ResizeObserver(() => this.picture && this.draw()).observe(this.canvas);
  }
}

// ---- Curves and remarks --------------------------------------------------------------------------

function node(name, attributes = {}, text = '') {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function readable(value) {
  const size = Math.abs(value);
  return value === 0 || (size >= 0.01 && size < 1e5) ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

class Plot {
  constructor(plot, end) {
    this.plot = plot;
    const values = plot.curves.flatMap((curve) => curve.points.map((point) => point[1]));
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (low === high) [low, high] = [low - 1, high + 1];
    const x = (time) => (300 * time) / (end || 1), y = (value) => 96 - (92 * (value - low)) / (high - low);
    this.x = x;
    const figure = document.createElement('figure'), title = document.createElement('h2');
    title.textContent = plot.title;
    const picture = node('svg', { viewBox: '0 0 300 100', preserveAspectRatio: 'none', role: 'img', 'aria-label': plot.title });
    this.legend = document.createElement('figcaption');
    this.readings = plot.curves.map((curve, index) => {
      const colour = PALETTE[index % PALETTE.length];
      const path = curve.points.map(([time, value], i) =>
        curve.dots ? `M${x(time)} ${y(value)}h0` : `${i ? 'L' : 'M'}${x(time)} ${y(value)}`).join('');
      picture.append(node('path', {
        d: path, stroke: colour, fill: 'none', 'vector-effect': 'non-scaling-stroke',
        'stroke-width': curve.dots ? 5 : 1.5, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' }));
      const entry = document.createElement('span'), reading = document.createElement('b');
      const dot = document.createElement('i');
      dot.style.background = colour;
      entry.append(dot, `${curve.name} `, reading);
      this.legend.append(entry);
      return reading;
    });
    this.cursor = node('line', { y1: 0, y2: 100, class: 'cursor', 'vector-effect': 'non-scaling-stroke' });
    picture.append(this.cursor);
    const bounds = document.createElement('div');
    bounds.className = 'bounds';
    bounds.append(...[high, low].map((value) => {
      const label = document.createElement('span');
      label.textContent = readable(value);
      return label;
    }));
    const box = document.createElement('div');
    box.className = 'plot';
    box.append(picture, bounds);
    figure.append(title, box, this.legend);
    byId('plots').append(figure);
    this.picture = picture;
  }
  at(time) {
    this.cursor.setAttribute('x1', this.x(time));
    this.cursor.setAttribute('x2', this.x(time));
    for (const [index, curve] of this.plot.curves.entries()) {
      const last = lastBefore(curve.points, time);
      this.readings[index].textContent = last < 0 ? '' : readable(curve.points[last][1]);
    }
  }
}

class Said {
  constructor(said) {
    this.said = said;
    this.rows = said.map(([time, source, text, fault]) => {
      const row = document.createElement('li');
      row.textContent = `${time.toFixed(1)} s  ${source}: ${text}`;
      if (fault) row.className = 'fault';
      byId('said').append(row);
      return row;
    });
  }
  at(time) {
    const last = lastBefore(this.said, time);
    for (const [index, row] of this.rows.entries()) row.hidden = index > last || index < last - 20;
    byId('said').scrollTop = byId('said').scrollHeight;
  }
}

// ---- The page ------------------------------------------------------------------------------------

async function begin() {
  const data = await unpack(byId('data').textContent);
  const scene = new Scene(data), said = new Said(data.said);
  const plots = data.plots.map((plot) => new Plot(plot, data.end));
  const slider = byId('time'), play = byId('play'), speed = byId('speed');
  slider.max = data.end;
  for (const value of SPEEDS) speed.add(new Option(`${value} x`, value, value === 1, value === 1));
  for (const topic of data.topics) {
    const label = document.createElement('label'), box = document.createElement('input');
    Object.assign(box, { type: 'checkbox', checked: topic.shown });
    box.addEventListener('change', () => {
      if (box.checked) scene.hidden.delete(topic.name); else scene.hidden.add(topic.name);
      show(Number(slider.value));
    });
    label.append(box, topic.label);
    byId('topics').append(label);
  }
  let playing = 0;
  const show = (time) => {
    slider.value = time;
    byId('clock').textContent = `${time.toFixed(2)} s of ${data.end.toFixed(2)} s`;
    for (const part of [scene, said, ...plots]) part.at(time);
  };
  const tick = (before) => (now) => {
    if (!playing) return;
    const time = Number(slider.value) + ((now - before) / 1000) * Number(speed.value);
    show(Math.min(time, data.end));
    if (time >= data.end) return stop();
    playing = requestAnimationFrame(tick(now));
  };
  const stop = () => { playing = 0; play.textContent = 'Play'; };
  play.addEventListener('click', () => {
    if (playing) return stop();
    if (Number(slider.value) >= data.end) show(0);
    play.textContent = 'Pause';
    playing = requestAnimationFrame(tick(performance.now()));
  });
  slider.addEventListener('input', () => { stop(); show(Number(slider.value)); });
  for (const plot of plots)
    plot.picture.addEventListener('pointerdown', (event) => {
      const box = plot.picture.getBoundingClientRect();
      stop();
      show((data.end * (event.clientX - box.left)) / box.width);
    });
  // A page can be linked to at a time: page.html#3.5
  const asked = Number(location.hash.slice(1));
  show(asked > 0 ? Math.min(asked, data.end) : data.end);
  document.body.dataset.shown = 'yes';
}

begin().catch((error) => { byId('complaint').textContent = String(error.message || error); });
