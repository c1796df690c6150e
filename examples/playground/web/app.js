// The page shows what the server tells by its stream of events, and nothing that it guessed.

const element = (id) => document.getElementById(id);
const still = matchMedia('(prefers-reduced-motion: reduce)');
const darkPage = matchMedia('(prefers-color-scheme: dark)');

let state = null; // the snapshot, with the hits that came after it
let clockAhead = 0; // the server's clock less ours, ms
const panels = []; // by instance; the fixed window's is last

const now = () => Date.now() + clockAhead;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function listen() {
  const events = new EventSource('/api/events');
  events.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.snapshot) begin(message.snapshot);
    if (message.hit) add(message.hit);
  };
  events.onerror = () => {
    element('where').textContent = 'The server gives no answer; trying again…';
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 5000); // it answered with an error
  };
}

function begin(snapshot) {
  state = snapshot;
  clockAhead = snapshot.nowMs - Date.now();
  element('where').textContent = snapshot.shared
    ? 'Two instances on one Redis share the quota. Each has connections of its own.'
    : 'The log is in this process. With REDIS_URL of a real Redis there are two instances side by side.';
  element('max').value = snapshot.settings.max;
  element('window').value = snapshot.settings.windowMs / 1000;
  element('cost').value = snapshot.settings.cost;
  if (panels.length === 0) makePanels(snapshot.instances.length);
  count();
  draw();
}

function add(hit) {
  state.hits.push(hit);
  if (state.hits.length > 1000) state.hits.shift();
  state.instances[hit.instance][hit.outcome]++;
  if (hit.fixed) state.fixed[hit.fixed]++;
  count();
}

function count() {
  [...state.instances, state.fixed].forEach((counts, i) => {
    for (const [outcome, n] of Object.entries(counts)) {
      panels[i].querySelector(`[data-count="${outcome}"]`).textContent = n;
    }
  });
}

function makePanels(instances) {
  for (let i = 0; i < instances; i++) {
    const panel = element('instance').content.firstElementChild.cloneNode(true);
    panel.id = `instance-${i}`;
    panel.querySelector('h2').textContent = nameOf(i, instances);
    const button = (name) => panel.querySelector(`[data-do="${name}"]`);
    button('hit').onclick = () => hit(i);
    button('burst').onclick = () => busy(button('burst'), () => burst(i, state.settings.max + 5));
    button('wait').onclick = () => wait(i);
    button('stream').onclick = () => toggleStream(i, button('stream'), button('rate'));
    button('rate').setAttribute('aria-label', `requests a second of the steady stream, ${nameOf(i, instances)}`);
    panels.push(panel);
  }
  const fixed = element('fixed').content.firstElementChild.cloneNode(true);
  fixed.id = 'fixed-window';
  panels.push(fixed);
  element('instances').append(...panels);
}

const nameOf = (i, instances) => (instances > 1 ? `Instance ${'AB'[i]}` : 'Sliding log');

async function send(path, body) {
  try {
    const response = await fetch(path, { method: 'POST', body });
    const text = await response.text();
    if (response.status === 503 || response.status === 400) say(text.trim(), true);
    return { response, text };
  } catch {
    say('The server gives no answer.', true);
    return null;
  }
}

async function hit(i) {
  const answer = await send(`/api/hit/${i}`);
  if (!answer) return;
  const { response } = answer;
  const lines = [`${response.status} ${response.statusText}`];
  for (const [name, value] of response.headers) {
    if (/^(ratelimit|x-ratelimit|retry-after)/.test(name)) lines.push(`${name}: ${value}`);
  }
  panels[i].querySelector('[data-headers]').textContent = lines.join('\n');
  if (response.status !== 503) say(response.ok ? 'Allowed.' : `Refused. Try again in ${response.headers.get('retry-after')} s.`);
}

const burst = (i, n) => Promise.all(Array.from({ length: n }, () => hit(i)));

async function wait(i) {
  const answer = await send(`/api/wait/${i}`);
  if (!answer || !answer.response.ok) return;
  const place = JSON.parse(answer.text);
  const seconds = (ms) => (ms / 1000).toFixed(1);
  say({
    allowed: 'Allowed at once: nobody was in line.',
    waiting: `Its place is ${seconds(place.delayMs)} s ahead.`,
    refused: `Refused: its place would be ${seconds(place.retryAfterMs)} s ahead, more than a Window.`,
  }[place.outcome]);
}

const streams = new Map(); // timers, by instance

function toggleStream(i, button, rate) {
  const on = !streams.has(i);
  button.setAttribute('aria-pressed', on);
  button.textContent = on ? 'Stop the stream' : 'Steady stream';
  if (on) {
    const perSecond = Math.min(20, Math.max(1, Number(rate.value) || 1));
    streams.set(i, setInterval(() => hit(i), 1000 / perSecond));
  } else {
    clearInterval(streams.get(i));
    streams.delete(i);
  }
}

// A button that is at work keeps the focus, so it is not disabled, but does nothing.
async function busy(button, work) {
  if (button.getAttribute('aria-disabled') === 'true') return;
  button.setAttribute('aria-disabled', 'true');
  try { await work(); } finally { button.removeAttribute('aria-disabled'); }
}

function say(text, fault = false) {
  element('message').textContent = text;
  element('message').classList.toggle('fault', fault);
}

// apply begins anew with the form's settings, and returns them if the server took them.
async function apply() {
  const chosen = {
    max: Number(element('max').value),
    windowMs: Math.round(Number(element('window').value) * 1000),
    cost: Number(element('cost').value),
  };
  const answer = await send('/api/settings', JSON.stringify(chosen));
  if (!answer?.response.ok) return null;
  say('Begun anew.');
  return chosen;
}

element('settings').onsubmit = (event) => {
  event.preventDefault();
  busy(element('apply'), apply);
};

// One request begins the fixed window; the rest of Max comes before its end, Max more after it.
element('edge').onclick = () => busy(element('edge'), async () => {
  const chosen = await apply();
  if (!chosen) return;
  const fit = Math.floor(chosen.max / chosen.cost);
  await hit(0);
  say(`Waiting for the edge, in ${chosen.windowMs / 1000} s…`);
  await sleep(chosen.windowMs - 400);
  await burst(0, fit - 1);
  await sleep(500);
  await burst(0, fit);
  for (let i = 0; i < 200 && state.hits.length < 2 * fit; i++) await sleep(50); // until it was told of each
  say(`Of ${2 * fit} requests, the sliding log let ${state.instances[0].allowed} through, and the fixed window ${state.fixed.allowed}.`);
});

// ---- the time line

const canvas = element('line');
const brush = canvas.getContext('2d');

function draw() {
  if (!state) return;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const colours = getComputedStyle(document.documentElement);
  const colour = (name) => colours.getPropertyValue(`--${name}`);
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, width, height);
  brush.font = '12px system-ui, Arial, "DejaVu Sans", sans-serif';

  const { windowMs } = state.settings;
  const at = now();
  const x = (time) => ((time - (at - 1.35 * windowMs)) / (2.4 * windowMs)) * width;
  const rows = state.instances.length + 1;
  const bottom = height - 22;
  const rowHeight = (bottom - 18) / rows;

  // The window of the log slides with now; that of the counter stands until it ends.
  brush.fillStyle = colour('allowed');
  brush.globalAlpha = 0.13;
  brush.fillRect(x(at - windowMs), 18, x(at) - x(at - windowMs), rowHeight * (rows - 1));
  const edges = new Set(state.hits.filter((hit) => hit.fixedEndsMs).map((hit) => hit.fixedEndsMs));
  brush.globalAlpha = 1;

  const label = (text, left, y, align = 'left', name = 'muted') => {
    brush.fillStyle = colour(name);
    brush.textAlign = align;
    brush.fillText(text, left, y);
  };
  for (let row = 0; row < rows; row++) {
    const top = 18 + row * rowHeight;
    brush.strokeStyle = colour('grid');
    brush.lineWidth = 1;
    line(0, top + rowHeight, width, top + rowHeight);
    label(row === rows - 1 ? 'Fixed window' : nameOf(row, state.instances.length), width - 4, top + 14, 'right');
  }
  brush.strokeStyle = colour('muted');
  brush.setLineDash([4, 3]);
  line(x(at - windowMs), 18, x(at - windowMs), 18 + rowHeight * (rows - 1));
  for (const edge of edges) line(x(edge), 18 + rowHeight * (rows - 1), x(edge), bottom);
  brush.setLineDash([]);
  brush.strokeStyle = colour('ink');
  brush.lineWidth = 2;
  line(x(at), 14, x(at), bottom);
  label('now', x(at), 11, 'center', 'ink');
  label("window's edge", x(at - windowMs), 11, 'center');
  const step = windowMs / 2;
  for (let n = -2; n <= 2; n++) {
    label(n === 0 ? '0 s' : `${n > 0 ? '+' : '−'}${Math.abs(n * step) / 1000} s`, Math.min(x(at + n * step), width - 16), height - 6, 'center');
  }

  for (const hit of state.hits) {
    const time = hit.atMs + hit.delayMs;
    if (x(time) < -8) continue;
    const spread = (hit.id % 7) / 7;
    const y = (row) => 18 + row * rowHeight + 24 + spread * Math.max(4, rowHeight - 36);
    const outcome = hit.outcome === 'waiting' && time <= at ? 'allowed' : hit.outcome; // its turn came
    mark(outcome, x(time), y(hit.instance), colour(outcome));
    if (hit.fixed) mark(hit.fixed, x(hit.atMs), y(rows - 1), colour(hit.fixed));
  }
  tell(at, windowMs);
}

function line(x1, y1, x2, y2) {
  brush.beginPath();
  brush.moveTo(x1, y1);
  brush.lineTo(x2, y2);
  brush.stroke();
}

function mark(outcome, x, y, colour) {
  brush.fillStyle = colour;
  brush.strokeStyle = colour;
  brush.lineWidth = 2;
  brush.beginPath();
  switch (outcome) {
    case 'allowed':
      brush.arc(x, y, 4.5, 0, 2 * Math.PI);
      brush.fill();
      break;
    case 'refused':
      brush.moveTo(x - 4, y - 4);
      brush.lineTo(x + 4, y + 4);
      brush.moveTo(x + 4, y - 4);
      brush.lineTo(x - 4, y + 4);
      brush.stroke();
      break;
    case 'waiting':
      brush.strokeRect(x - 4, y - 4, 8, 8);
      break;
    default:
      brush.moveTo(x, y - 5);
      brush.lineTo(x + 5, y + 4);
      brush.lineTo(x - 5, y + 4);
      brush.fill();
  }
}

// The words below the picture say what it shows.
function tell(at, windowMs) {
  let log = 0;
  let ahead = 0;
  let fixed = 0;
  for (const hit of state.hits) {
    const time = hit.atMs + hit.delayMs;
    if ((hit.outcome === 'allowed' || hit.outcome === 'waiting') && time > at - windowMs) {
      if (time > at) ahead += hit.cost; else log += hit.cost;
    }
    if (hit.fixed === 'allowed' && hit.atMs > at - windowMs) fixed += hit.cost;
  }
  const seconds = windowMs / 1000;
  const text = `Units allowed in the last ${seconds} s: sliding log ${log} of ${state.settings.max}`
    + `${ahead ? ` and ${ahead} waiting` : ''}; fixed window ${fixed} of ${state.settings.max}${fixed > state.settings.max ? ', too many' : ''}.`;
  if (element('used').textContent !== text) element('used').textContent = text;
}

// With reduced motion the line moves once a second, and with each request.
let drawn = 0;
function frame(time) {
  if (!still.matches || time - drawn >= 1000) {
    drawn = time;
    draw();
  }
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
darkPage.addEventListener('change', draw);
listen();
