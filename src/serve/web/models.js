// models.js -- what the server can load, and what a file says about its model.
import { ask, bytes, teller } from './api.js';

const tellList = teller('models'), tellDetails = teller('models');
const get = (id) => document.getElementById(id);

function row(cells) {
    const tr = document.createElement('tr');
    cells.forEach((cell, i) => {
        const td = document.createElement(i ? 'td' : 'th');
        if (!i) td.scope = 'row';
        td.append(cell);
        tr.append(td);
    });
    return tr;
}

async function showDetails(name) {
    const facts = await (await ask('/api/show', { model: name })).json();
    const table = document.createElement('table'), caption = document.createElement('caption'), body = document.createElement('tbody');
    caption.textContent = `${name}: ${facts.capabilities.join(', ')}; ${facts.tensors.length} tensors`;
    for (const [key, value] of Object.entries(facts.model_info))
        if (value !== null && key !== 'tokenizer.chat_template') body.append(row([key, String(value)]));
    table.append(caption, body);
    get('details').replaceChildren(table);
}

async function list() {
    const [tags, loaded] = await Promise.all([ask('/api/tags'), ask('/api/ps')].map(async (p) => (await (await p).json()).models));
    get('list').replaceChildren(...tags.map((m) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = m.name.replace(/:latest$/, '');
        button.addEventListener('click', () => showDetails(button.textContent).then(() => tellDetails(''), (error) => tellDetails(error.message)));
        const warm = loaded.find((l) => l.name === m.name);
        return row([button, m.details.family, m.details.parameter_size, m.details.quantization_level, String(m.details.context_length), bytes(m.size), warm ? bytes(warm.size) : 'not loaded']);
    }));
}

export function start() {
    return { show: () => list().then(() => tellList(''), (error) => tellList(error.message)) };
}
