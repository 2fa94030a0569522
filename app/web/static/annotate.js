// Keys and autosave for the desk. Without this script the form does the same by Tab, arrows and Enter.
"use strict";
(() => {
  const form = document.getElementById("grade");
  if (!form) return;
  const keys = document.getElementById("keys");
  const saved = document.getElementById("saved");
  const groups = [...form.querySelectorAll("fieldset[data-judgement]")];
  const { note, skip_reason: reason } = form.elements;

  const remember = () => localStorage.setItem("venire-keys", (form.dataset.keys = keys.checked ? "on" : "off"));
  keys.closest("[hidden]").hidden = false;
  keys.checked = localStorage.getItem("venire-keys") !== "off";
  keys.addEventListener("change", remember);
  remember();

  const WHY = {
    401: "your session is over; open your link again.", 403: "your session is over; open your link again.",
    409: "the queue is closed.", 422: "a value is not on its scale.",
  };
  const content = () => {
    const data = new FormData(form);
    data.set("action", "draft");
    return new URLSearchParams(data).toString();
  };
  let timer = 0, sent = content();
  const save = async () => {
    clearTimeout(timer);
    const body = content();
    if (body === sent) return;
    const before = sent;
    sent = body;
    try {
      const answer = await fetch(form.getAttribute("action"), {
        method: "POST", body, keepalive: true,
        headers: { "Content-Type": "application/x-www-form-urlencoded", "X-Autosave": "1" },
      });
      saved.textContent = answer.ok ? "Saved." : "Not saved: " + (WHY[answer.status] || "the service failed.");
    } catch {
      saved.textContent = "Not saved: the service does not answer. It is tried again.";
      sent = before;
      later(5000);
    }
  };
  const later = (wait) => { clearTimeout(timer); timer = setTimeout(save, wait); };
  form.addEventListener("change", () => later(150));
  note.addEventListener("input", () => later(1000));
  document.addEventListener("visibilitychange", () => { if (document.hidden) save(); });
  form.addEventListener("submit", () => { clearTimeout(timer); sent = content(); });

  const said = (group) => group.querySelector("input:checked") || group.querySelector("input[type=number]")?.value;
  const unsaid = () => groups.findIndex((group) => !said(group));
  let at = Math.max(unsaid(), 0);
  groups.forEach((group, k) => group.addEventListener("focusin", () => { at = k; }));
  const choose = (digit) => {
    const radio = groups[at].querySelector(`input[data-key="${digit}"]`);
    if (!radio) return;
    radio.checked = true;
    radio.dispatchEvent(new Event("change", { bubbles: true }));
    const next = unsaid();
    (next < 0 ? radio : groups[next].querySelector("input")).focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.querySelector(event.target === reason ? "[value=skip]" : "[value=submit]").click();
      return;
    }
    if (!keys.checked || event.altKey || event.metaKey || event.ctrlKey) return;
    const typing = event.target.matches("textarea, select, input:not([type=radio]):not([type=checkbox])");
    if (event.key === "Escape" && typing) event.target.blur();
    if (typing) return;
    if (/^[0-9]$/.test(event.key)) { event.preventDefault(); choose(event.key); }
    else if (event.key === "n") { event.preventDefault(); note.focus(); }
    else if (event.key === "s") { event.preventDefault(); reason.focus(); }
  });
})();
