// api.js -- requests to the server this page came from, and what went wrong with them.
let key = '';
export function setKey(k) { key = k; }

const problem = document.getElementById('problem');
const told = [];
let shownPage = '';

// What is wrong on the page that is shown.
export function showProblems(page = shownPage) {
    shownPage = page;
    const text = told.filter((t) => t.page === page && t.text).map((t) => t.text).join(' ');
    if (problem.textContent !== text) problem.textContent = text; // read aloud once
    problem.hidden = !text;
}

// For one activity of a page: tells what went wrong with it, or '' when it goes well again, which takes back its own words only.
export function teller(page) {
    const own = { page, text: '' };
    told.push(own);
    return (text) => {
        own.text = text;
        showProblems();
    };
}

export async function ask(path, body, signal) {
    const headers = key ? { authorization: `Bearer ${key}` } : {};
    if (body) headers['content-type'] = 'application/json';
    const answer = await fetch(path, { method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), signal });
    if (answer.ok) return answer;
    let why = `${answer.status} ${answer.statusText}`;
    try {
        const error = (await answer.json()).error;
        why = error?.message ?? error ?? why;
    } catch { /* no JSON: the status must do */ }
    throw new Error(why);
}

// Events of a stream, as objects; ends at [DONE].
export async function* events(answer) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let held = '';
    for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        held += value;
        const whole = held.split('\n\n');
        held = whole.pop();
        for (const event of whole) {
            const data = event.split('\n').filter((l) => l.startsWith('data: ')).map((l) => l.slice(6)).join('\n');
            if (data === '[DONE]') return;
            if (data) yield JSON.parse(data);
        }
    }
}

export function bytes(n) {
    const units = ['B', 'KiB', 'MiB', 'GiB'];
    let i = 0;
    for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
    return `${n.toFixed(n < 10 && i ? 1 : 0)} ${units[i]}`;
}

// A page that reads something again and again while it is shown.
export function repeating(read, everyMs) {
    let timer = null;
    return {
        show() {
            read();
            timer ??= setInterval(read, everyMs);
        },
        hide() {
            clearInterval(timer);
            timer = null;
        },
    };
}
