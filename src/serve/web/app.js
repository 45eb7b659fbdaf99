// app.js -- which page is shown; the pages are modules of their own.
import { start as startChat } from './chat.js';
import { start as startModels } from './models.js';
import { start as startActivity } from './activity.js';
import { start as startTiers } from './tiers.js';
import { setKey, showProblems } from './api.js';

const pages = { chat: startChat(), models: startModels(), activity: startActivity(), tiers: startTiers() };
let shown = null;

function show() {
    const name = location.hash.slice(1) in pages ? location.hash.slice(1) : 'chat';
    for (const page of Object.keys(pages)) document.getElementById(`page-${page}`).hidden = page !== name;
    for (const link of document.querySelectorAll('nav a')) {
        if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page');
        else link.removeAttribute('aria-current');
    }
    if (shown && shown !== name) pages[shown].hide?.();
    shown = name;
    showProblems(name);
    pages[name].show?.();
}

const key = document.getElementById('key');
key.value = sessionStorage.getItem('key') ?? '';
setKey(key.value);
key.addEventListener('change', () => {
    sessionStorage.setItem('key', key.value);
    setKey(key.value);
    show();
});
addEventListener('hashchange', show);
show();
