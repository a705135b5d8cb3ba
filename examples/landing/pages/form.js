/**
 * Two pages, one lead. What the person agreed to is captured where they agree, each offer on a
 * page of its own, so that neither company's evidence shows the other's offer. The lead waits in
 * this tab's storage until it is answered for, and may be sent any number of times.
 */
"use strict";

const KEY = "lead";
const lead = () => JSON.parse(sessionStorage.getItem(KEY));
const keep = (value) => sessionStorage.setItem(KEY, JSON.stringify(value));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What the person agrees to now, with its evidence; without, where none can be had at once. */
async function consent(offer, { uid, contact }) {
  try {
    const evidence = await window.ExpressConsent.captureCDR({
      custom: { uid, phone: contact.phone, email: contact.email },
      subGroupIds: [offer],
      autoShare: true,
      disclosures: { [offer]: true },
    });
    const { cdrId, packageData, shareUrl, shareExpiresAt } = evidence;
    return { offer, evidence: { cdrId, packageId: packageData.packageId, shareUrl, shareExpiresAt } };
  } catch (error) {
    console.warn("no evidence yet:", error.code ?? error.name);
    return { offer };
  }
}

function firstStep(form) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { homeowner, agreed, ...contact } = Object.fromEntries(new FormData(form));
    const started = { uid: crypto.randomUUID(), contact, homeowner };
    // Captured before the button changes: the snapshot is what the person saw.
    const captured = consent("solar", started);
    busy(form, true);
    keep({ ...started, consents: [await captured] });
    location.assign("/roofing");
  });
}

function secondStep(form) {
  const started = lead();
  if (!started || started.leadId) return location.replace("/");
  const { firstName, lastName, phone, email } = started.contact;
  const shown = { name: `${firstName} ${lastName}`, phone, email };
  for (const [name, text] of Object.entries(shown))
    form.querySelector(`[data-field="${name}"]`).textContent = text;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { complete, ...filled } = lead();
    const captured = !complete && form.agreed.checked ? consent("roofing", filled) : null;
    busy(form, true);
    if (captured) filled.consents.push(await captured);
    // From here on the lead stays as it is: sent again, it must be the same.
    keep({ ...filled, complete: true });
    await send(form, filled);
  });
}

async function send(form, filled) {
  for (let attempt = 0; attempt < 4; attempt++) {
    if (attempt) await pause(500 * 2 ** attempt);
    const answer = await post(filled);
    if (answer.leadId) {
      keep({ leadId: answer.leadId });
      return location.assign("/thanks");
    }
    if (answer.error !== "TRY_AGAIN") return correct(form, answer.fields ?? []);
  }
  busy(form, false);
  say(form, "We could not send it just now. Nothing is lost: please press the button again.");
}

async function post(filled) {
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch("/leads", { method: "POST", headers, body: JSON.stringify(filled) });
    return await answer.json();
  } catch {
    return { error: "TRY_AGAIN" };
  }
}

function correct(form, fields) {
  const names = { phone: "phone number", email: "email address", firstName: "name", lastName: "name" };
  const wrong = fields.map((field) => names[field]).filter(Boolean);
  say(form, `Please change your details: ${wrong.join(", ") || "something"} is not right.`);
}

const WORDS = {
  DELIVERED: "has your request, and the record of your consent",
  BUYER_REJECTED: "cannot help with this one",
  REJECTED: "could not be given your request",
  FAILED: "could not be given your request",
};
const COMPANIES = { solar: "Example Solar", roofing: "Example Roofing" };

async function follow(list) {
  const { leadId } = lead() ?? {};
  if (!leadId) return location.replace("/");
  for (let look = 0; look < 120; look++) {
    const answer = await fetch(`/leads/${leadId}`).then((got) => got.json(), () => ({}));
    if (answer.deliveries) show(list, answer.deliveries);
    if (answer.deliveries?.every(({ state }) => WORDS[state])) return;
    await pause(1000);
  }
}

function show(list, deliveries) {
  list.replaceChildren(
    ...deliveries.map(({ offer, state }) => {
      const item = document.createElement("li");
      item.dataset.state = state;
      item.textContent = `${COMPANIES[offer]} ${WORDS[state] ?? "is being given your request"}`;
      return item;
    }),
  );
}

function busy(form, is) {
  form.querySelector("button").disabled = is;
  form.querySelector(".problem").hidden = true;
}

function say(form, text) {
  const problem = form.querySelector(".problem");
  problem.textContent = text;
  problem.hidden = false;
}

const parts = { "first-step": firstStep, "second-step": secondStep, deliveries: follow };
for (const [id, start] of Object.entries(parts)) {
  const element = document.getElementById(id);
  if (element) start(element);
}
// Back from a later page, as the browser kept this one: its button is still grey.
addEventListener("pageshow", ({ persisted }) => {
  const first = document.getElementById("first-step");
  if (persisted && first) busy(first, false);
  else if (persisted) location.reload();
});
