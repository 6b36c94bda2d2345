/*
 * Keeps a page up to date: asks for its body again and again, with the tag of what it has, and where there is
 * something new changes just that. So the scroll position, the focus, a selection and what was unfolded stay.
 * It rests while the tab is hidden, slows down while nothing happens, and stops when a run has ended.
 */
"use strict";

(() => {
    const bar = document.querySelector(".dw-live"), body = document.getElementById("dw-live");
    if (!bar || !body) return;
    const button = bar.querySelector("button"), says = bar.querySelector(".dw-live-says"), words = bar.dataset;
    const SOON = Number(words.seconds || 2) * 1000, LATE = 5 * SOON, LATEST = 60000, KEY = "durable_workflows.live";
    let tag = words.etag, pause = SOON, timer = 0, asking = false, over = false, wanted = true;
    try { wanted = localStorage.getItem(KEY) !== "paused"; } catch { /* a browser may forbid it */ }

    function show(text = "") {
        button.textContent = wanted ? words.live : words.paused;
        button.setAttribute("aria-pressed", String(wanted));
        if (says.textContent !== text) says.textContent = text;
    }

    function stop(text) {
        over = true;
        clearTimeout(timer);
        button.hidden = true;
        says.textContent = text;
    }

    function plan() {
        clearTimeout(timer);
        if (wanted && !over && !document.hidden) timer = setTimeout(ask, pause);
    }

    async function ask() {
        if (asking) return;
        asking = true;
        try {
            const answer = await fetch(words.url, {
                headers: { "If-None-Match": tag }, cache: "no-store", redirect: "manual", credentials: "same-origin",
            });
            if (answer.status === 304) {
                pause = Math.min(pause * 1.25, LATE);
            } else if (answer.ok) {
                const page = new DOMParser().parseFromString(await answer.text(), "text/html");
                if (wanted) update(answer.headers.get("ETag"), page.body.firstElementChild);
            } else if (answer.status < 500) {
                stop(words.gone); // signed out, forbidden or deleted
            } else {
                throw new Error(answer.statusText);
            }
            if (!over) show();
        } catch {
            pause = Math.min(pause * 2, LATEST);
            show(words.lost);
        }
        asking = false;
        plan();
    }

    function update(newTag, fresh) {
        tag = newTag;
        pause = SOON;
        morph(body.firstElementChild, fresh);
        if ("ended" in body.firstElementChild.dataset) stop(words.over);
    }

    /* Makes the old node like the fresh one, and touches nothing that is alike. */
    function morph(old, fresh) {
        if (old.isEqualNode(fresh)) return;
        if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
            old.replaceWith(fresh);
        } else if (old.nodeType !== Node.ELEMENT_NODE) {
            old.data = fresh.data;
        } else {
            const kept = old.nodeName === "DETAILS" ? "open" : ""; // the visitor's, not the server's
            for (const { name } of [...old.attributes]) if (name !== kept && !fresh.hasAttribute(name)) old.removeAttribute(name);
            for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
            morphChildren(old, [...fresh.childNodes]);
        }
    }

    function morphChildren(parent, fresh) {
        const named = new Map([...parent.children].filter(child => child.id).map(child => [child.id, child]));
        const coming = new Set(fresh.map(child => child.id).filter(Boolean));
        let next = parent.firstChild;
        for (const child of fresh) {
            while (next && next.id && !coming.has(next.id)) next = drop(next);
            const same = child.id ? named.get(child.id) : next && !next.id ? next : null;
            if (!same) {
                parent.insertBefore(child, next);
            } else {
                const after = same === next ? next.nextSibling : next;
                if (same !== next) parent.insertBefore(same, next);
                morph(same, child);
                next = after;
            }
        }
        while (next) next = drop(next);
    }

    function drop(node) {
        const following = node.nextSibling;
        node.remove();
        return following;
    }

    button.addEventListener("click", () => {
        wanted = !wanted;
        try { localStorage.setItem(KEY, wanted ? "live" : "paused"); } catch { /* then it is for this page only */ }
        show();
        pause = SOON;
        if (wanted) ask(); else plan();
    });
    document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(timer) : wanted && !over && ask());

    if ("ended" in body.firstElementChild.dataset) return;
    bar.hidden = false;
    show();
    plan();
})();
