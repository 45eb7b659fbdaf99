// tiers.js -- what the gateway did: share answered here, money, budget, reasons; from /slm/v1/report.
import { ask, repeating, teller } from './api.js';

const EVERY_MS = 5000;
const tell = teller('tiers');

const money = (v) => `$${v < 1 ? v.toFixed(6) : v.toFixed(2)}`;
const percent = (a, b) => (b > 0 ? `${((100 * a) / b).toFixed(1)} %` : '-');
const interval = (e) => (e ? `${percent(e.value, 1)} of ${e.n} (${percent(e.interval[0], 1)} to ${percent(e.interval[1], 1)})` : '-');
const standing = (c) => (!c ? 'none' : c.suspended ? `${c.id}: suspended (${c.watch})` : c.id);
const seconds = (v) => (v === null ? '-' : `${v.toFixed(2)} s`);

function fill(id, rows) {
    document.getElementById(id).replaceChildren(...rows.map((cells) => {
        const row = document.createElement('tr');
        cells.forEach((text, i) => {
            const cell = document.createElement(i ? 'td' : 'th');
            if (!i) cell.scope = 'row';
            cell.textContent = text;
            row.append(cell);
        });
        return row;
    }));
}

function meter(spent, limit) {
    const box = document.createElement('span');
    box.textContent = limit > 0 ? `${money(spent)} of ${money(limit)} ` : `${money(spent)}, no limit`;
    if (limit > 0) {
        const bar = document.createElement('meter');
        Object.assign(bar, { min: 0, max: limit, high: 0.8 * limit, value: Math.min(spent, limit) });
        bar.setAttribute('aria-label', `${percent(spent, limit)} spent`);
        box.append(bar);
    }
    return box;
}

function show(report) {
    const answered = report.tiers.filter((t) => t.tier !== 'none').reduce((n, t) => n + t.requests, 0);
    const numbers = [
        ['Requests', report.requests], ['Answered here', percent(report.local, answered)],
        ['Escalated', report.tiers.reduce((n, t) => n + t.escalated, 0)], ['Degraded', report.tiers.reduce((n, t) => n + t.degraded, 0)],
        ['Spent', money(report.usd)], ['Saved', money(report.saved_usd)], ['Certificate', standing(report.calibration)], ['Wrong of those audited', interval(report.audit)],
    ];
    document.getElementById('tier-numbers').replaceChildren(...numbers.flatMap(([name, value]) => {
        const term = document.createElement('dt'), data = document.createElement('dd');
        term.textContent = name;
        data.textContent = value;
        return [term, data];
    }));
    document.getElementById('budget-day').replaceChildren(meter(report.budget.day_usd + report.budget.open_usd, report.budget.usd_per_day));
    document.getElementById('budget-month').replaceChildren(meter(report.budget.month_usd + report.budget.open_usd, report.budget.usd_per_month));
    fill('tier-list', report.tiers.map((t) => [t.tier, t.requests, t.n_in, t.n_out, money(t.usd), money(t.saved_usd), seconds(t.seconds)]));
    fill('tier-reasons', report.reasons.map((r) => [r.reason, r.tier, r.requests]));
    fill('tier-attempts', report.attempts.map((a) => [a.upstream, a.state, a.attempts, a.n_in ?? 0, a.n_out ?? 0, money(a.usd), seconds(a.seconds)]));
}

async function read() {
    try {
        show(await (await ask('/slm/v1/report')).json());
        document.getElementById('tier-content').hidden = false;
        tell('');
    } catch (error) {
        document.getElementById('tier-content').hidden = true;
        tell(error.message);
    }
}

export const start = () => repeating(read, EVERY_MS);
