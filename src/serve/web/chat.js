// chat.js -- a conversation, streamed.
import { ask, events, teller } from './api.js';

const tell = teller('chat'), tellList = teller('chat');
const get = (id) => document.getElementById(id);
let messages = [];
let running = null;

function addMessage(role, text) {
    const item = document.createElement('li');
    item.className = role;
    const name = document.createElement('span');
    name.className = 'role';
    name.textContent = role === 'user' ? 'You' : 'Model';
    const thinking = document.createElement('details');
    thinking.hidden = true;
    const summary = document.createElement('summary');
    summary.textContent = 'Reasoning';
    const thought = document.createElement('span');
    thinking.append(summary, thought);
    const body = document.createElement('span');
    body.textContent = text;
    item.append(name, thinking, body);
    get('messages').append(item);
    item.scrollIntoView({ block: 'end' });
    return { item, body, thinking, thought };
}

function setRunning(controller) {
    running = controller;
    get('send').disabled = !!controller;
    get('stop').disabled = !controller;
    get('messages').setAttribute('aria-busy', String(!!controller));
}

async function answer() {
    const system = get('system').value.trim();
    const controller = new AbortController();
    const shown = addMessage('assistant', '');
    const started = performance.now();
    let text = '', usage = null, first = 0;
    setRunning(controller);
    try {
        const body = { model: get('model').value, stream: true, stream_options: { include_usage: true }, temperature: Number(get('temperature').value),
            max_tokens: Number(get('tokens').value), messages: system ? [{ role: 'system', content: system }, ...messages] : messages };
        for await (const event of events(await ask('/v1/chat/completions', body, controller.signal))) {
            if (event.error) throw new Error(event.error.message);
            const delta = event.choices[0]?.delta;
            usage = event.usage ?? usage;
            if (!first && (delta?.content || delta?.reasoning_content)) first = performance.now();
            if (delta?.reasoning_content) {
                shown.thinking.hidden = false;
                shown.thought.textContent += delta.reasoning_content;
            }
            if (delta?.content) shown.body.textContent = text += delta.content;
            for (const call of delta?.tool_calls ?? []) shown.body.textContent = text += call.function.name ? `\n${call.function.name} ` : call.function.arguments;
        }
        tell('');
    } catch (error) {
        if (error.name !== 'AbortError') tell(error.message);
    }
    setRunning(null);
    if (text) messages.push({ role: 'assistant', content: text });
    else shown.item.remove();
    const seconds = (performance.now() - first) / 1000;
    if (usage && first) get('numbers').textContent = `${usage.prompt_tokens} tokens read (${usage.prompt_tokens_details.cached_tokens} remembered), first after ${Math.round(first - started)} ms, `
        + `${usage.completion_tokens} written, ${(usage.completion_tokens / Math.max(seconds, 1e-3)).toFixed(1)} a second`;
}

function send(event) {
    event?.preventDefault();
    const text = get('text').value.trim();
    if (!text || running) return;
    messages.push({ role: 'user', content: text });
    addMessage('user', text);
    get('text').value = '';
    answer().then(() => get('text').focus());
}

async function listModels() {
    const select = get('model'), before = select.value;
    const models = (await (await ask('/api/tags')).json()).models.filter((m) => m.capabilities.includes('completion'));
    select.replaceChildren(...models.map((m) => new Option(m.name.replace(/:latest$/, ''))));
    if (before) select.value = before;
}

export function start() {
    get('ask').addEventListener('submit', send);
    get('text').addEventListener('keydown', (event) => {
        if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) send(event);
    });
    addEventListener('keydown', (event) => event.key === 'Escape' && running?.abort());
    get('stop').addEventListener('click', () => running?.abort());
    get('clear').addEventListener('click', () => {
        running?.abort();
        messages = [];
        get('messages').replaceChildren();
        get('numbers').textContent = '';
        get('text').focus();
    });
    return { show: () => listModels().then(() => tellList(''), (error) => tellList(error.message)) };
}
