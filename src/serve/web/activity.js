// activity.js -- live charts made from two readings of /metrics.
import { ask, repeating, teller } from './api.js';

const EVERY_MS = 2000, POINTS = 90;
const tell = teller('activity');
let before = null;

function parse(text) {
    const values = { time: performance.now() / 1000 };
    for (const line of text.split('\n')) {
        const m = /^([a-z_]+)(\{[^}]*\})? ([-0-9.e+]+)$/.exec(line);
        if (m && !m[1].endsWith('_bucket')) values[m[1]] = (values[m[1]] ?? 0) + Number(m[3]);
    }
    return values;
}

const change = (now, then, name) => (now[name] ?? 0) - (then[name] ?? 0);
const rate = (now, then, name) => Math.max(0, change(now, then, name)) / (now.time - then.time); // a model that goes takes its counters along
const share = (a, b) => (b > 0 ? a / b : null);
// name, unit, from this reading and the one before; null: nothing to show
const charts = [
    ['Tokens written', 'a second', (n, t) => rate(n, t, 'slm_model_generated_tokens_total')],
    ['Tokens read', 'a second', (n, t) => rate(n, t, 'slm_model_read_tokens_total')],
    ['Time to the first token', 'ms', (n, t) => 1000 * share(change(n, t, 'slm_first_token_seconds_sum'), change(n, t, 'slm_first_token_seconds_count'))],
    ['Time of a token', 'ms', (n, t) => 1000 * share(change(n, t, 'slm_token_seconds_sum'), change(n, t, 'slm_token_seconds_count'))],
    ['Requests', 'running', (n) => n.slm_requests_running],
    ['Prompt tokens remembered', '%', (n, t) => 100 * share(change(n, t, 'slm_cached_tokens_total'), change(n, t, 'slm_prompt_tokens_total'))],
    ['Cache in use', '%', (n) => 100 * share(n.slm_model_kv_pages - n.slm_model_kv_pages_free, n.slm_model_kv_pages)],
    ['Memory of models', 'MiB', (n) => n.slm_memory_bytes / 1048576],
].map(([name, unit, value]) => {
    const figure = document.createElement('figure'), caption = document.createElement('figcaption'), svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const title = document.createElement('span'), now = document.createElement('strong'), line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
    title.textContent = `${name} (${unit})`;
    svg.setAttribute('viewBox', `0 0 ${POINTS - 1} 100`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('role', 'img');
    svg.append(line);
    caption.append(title, now);
    figure.append(caption, svg);
    return { figure, name, unit, value, svg, line, now, points: [] };
});

function draw(chart, value) {
    chart.points.push(Number.isFinite(value) ? value : 0);
    if (chart.points.length > POINTS) chart.points.shift();
    const most = Math.max(...chart.points, 1e-9), text = Number.isFinite(value) ? value.toFixed(value < 10 ? 1 : 0) : '0';
    chart.line.setAttribute('points', chart.points.map((p, i) => `${POINTS - chart.points.length + i},${100 - (95 * p) / most}`).join(' '));
    chart.now.textContent = `${text} (most ${most.toFixed(most < 10 ? 1 : 0)})`;
    chart.svg.setAttribute('aria-label', `${chart.name}: now ${text} ${chart.unit}, at most ${most.toFixed(1)} in the last ${Math.round((chart.points.length * EVERY_MS) / 1000)} seconds`);
}

async function read() {
    try {
        const now = parse(await (await ask('/metrics')).text());
        for (const chart of charts) draw(chart, before ? chart.value(now, before) : 0);
        before = now;
        tell('');
    } catch (error) {
        tell(error.message);
    }
}

export function start() {
    document.getElementById('charts').append(...charts.map((c) => c.figure));
    return repeating(read, EVERY_MS);
}
