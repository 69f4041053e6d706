// launchd's jobs, a row above the processes: what waits, what runs, what is held back and until when.

import {escaped, some} from "./marks.js";
import {width} from "./measure.js";

const LABEL = 63; // px before the first job
const STATE = 104; // px a state takes at least, so that the row keeps still: .jobs em
const MORE = 74; // px of the button for those that have no room

// A time of the simulated clock: 5 s, 0.25 s.
export const seconds = (ns) => `${Math.round(ns / 1e6) / 1e3} s`;

// What a job is doing.
export function doing(job) {
  if (job.state === "running") return `running, pid ${job.pid}`;
  return job.state === "throttled" ? `throttled until ${seconds(job.until)}` : job.state;
}

const offers = (job) => [...job.services, ...job.sockets.map((one) => [one[1]])].map((one) => one[0]);

// What it offers, in short.
function brief(job) {
  const [first, ...more] = offers(job);
  if (!first) return "";
  return (first === job.label ? "service of that name" : first) + (more.length ? ` +${more.length}` : "");
}

// How its last run ended, "" if none has.
function ended({runs, state, status, reason}) {
  if (!(runs - (state === "running" ? 1 : 0))) return "";
  return status < 0 ? `by signal ${-status}` : `with status ${status}${reason ? ` (${reason})` : ""}`;
}

function said(job) {
  const last = ended(job);
  const words = `job ${job.label}, ${doing(job)}, ${job.runs ? "started " + some(job.runs, "time") : "never started"}${last ? ", last run ended " + last : ""}`;
  return words + (offers(job).length ? ", offers " + offers(job).join(", ") : "");
}

// The job, as [number, job], that a socket of launchd's is of, while no process of the job has it.
export function waitsFor({launchd, socks}, id) {
  if (!launchd || !socks[id] || socks[id].pid !== launchd.pid) return null;
  return Object.entries(launchd.jobs).find(([, job]) => job.sockets.some((one) => String(one[2]) === String(id))) || null;
}

export class Jobs {
  constructor(app, storyOf) {
    this.app = app;
    this.storyOf = storyOf;
    this.el = document.createElement("div");
    this.el.className = "jobs";
    this.el.setAttribute("role", "group");
    this.el.setAttribute("aria-label", "Jobs of launchd");
    this.body = "";
    this.open = false;
    this.el.addEventListener("click", (event) => {
      if (event.target.closest("[data-more]")) {
        this.open = !this.open;
        this.update();
        this.el.querySelector("[data-more]")?.focus({preventScroll: true});
        return;
      }
      const row = event.target.closest("[data-job]");
      if (row) app.select({kind: "job", job: row.dataset.job});
    });
  }

  layout() {
    this.room = 0;
  }

  update() {
    const {sel} = this.app;
    const story = this.storyOf();
    const {launchd} = story.state;
    const jobs = launchd ? Object.entries(launchd.jobs) : [];
    const chosen = sel && sel.kind === "job" ? sel.job : "";
    const body = story.series.jobs ? `<b>launchd</b>${jobs.length ? this.rows(jobs, chosen) : "<i>no job is loaded</i>"}` : ""; // its place is kept
    if (body === this.body) return;
    const here = this.app.active();
    const again = here && this.el.contains(here) ? here.dataset.job : null;
    this.body = body;
    this.el.innerHTML = body;
    if (again) this.el.querySelector(`[data-job="${again}"]`)?.focus({preventScroll: true});
  }

  // The jobs that have room: without what they offer, if they need it all, and then those that do not
  // only wait; the others come when asked for.
  rows(jobs, chosen) {
    const all = (shown, offer) => shown.map(([id, job]) => this.row(id, job, id === chosen, offer)).join("");
    const more = (open, words) => `<button class="more" data-more aria-expanded="${open}">${words}</button>`;
    if (this.fits(jobs, true, 0)) return all(jobs, true);
    if (this.open) return all(jobs, true) + more(true, "fewer");
    if (this.fits(jobs, false, 0)) return all(jobs, false);
    const ranked = jobs.slice().sort(([a, p], [b, q]) => (b === chosen) - (a === chosen) || (p.state === "waiting") - (q.state === "waiting"));
    let shown = ranked;
    while (shown.length > 1 && !this.fits(jobs.filter((one) => shown.includes(one)), false, MORE)) shown = shown.slice(0, -1);
    return all(jobs.filter((one) => shown.includes(one)), false) + more(false, `${jobs.length - shown.length} more`);
  }

  // Whether jobs have room in as many lines as the row may have; `less` px of the last are taken.
  fits(jobs, offer, less) {
    const {presenter, comparing, size, type} = this.app;
    const large = presenter && !comparing && size === "wide";
    if (!this.room) this.room = this.el.parentElement.clientWidth;
    const room = this.room / (large ? type : 1) - 12;
    const lines = large ? 1 : size === "narrow" ? 4 : 2;
    let [x, line] = [LABEL, 1];
    for (const [, job] of jobs) {
      const words = offer ? brief(job) : "";
      const wide = width(job.label, 12, 600) + Math.max(STATE, width(doing(job), 12, 600)) + 32 + (words ? width(words, 12) + 8 : 0);
      if (x > 12 && x + wide > room - (line === lines ? less : 0)) [x, line] = [12, line + 1];
      x += wide + 8;
    }
    return line <= lines;
  }

  row(id, job, on, offer) {
    const words = offer ? brief(job) : "";
    const kind = {running: "runs", throttled: "held"}[job.state] || "idle";
    const name = words ? `<span title="${escaped(offers(job).join(", "))}">${escaped(words)}</span>` : "";
    return `<button class="${kind}" data-job="${id}" aria-pressed="${on}" aria-label="${escaped(said(job))}"><b>${escaped(job.label)}</b><em>${escaped(doing(job))}</em>${name}</button>`;
  }
}


// As the inspector shows a job.
export function jobShown({launchd, clock}, id) {
  const job = launchd && launchd.jobs[id];
  if (!job) return {title: "No such job now", path: "launchd", rows: [["At this step", "it has not been loaded yet, or is unloaded"]], mark: true};
  const rows = [["State", doing(job)], ["Program", job.program.join(" ")], ["Runs as", `uid ${job.uid}`], ["Started", job.runs ? some(job.runs, "time") : "never"]];
  if (ended(job)) rows.push(["Last run ended", ended(job)]);
  for (const key of job.starts) rows.push(["Starts by", key]);
  for (const [name, port] of job.services) rows.push(["Service", `${name}, port ${port}`]);
  for (const [name, path] of job.sockets) rows.push([`Socket ${name}`, path]);
  rows.push(["Bootstrap port", `port ${job.port}`], ["ThrottleInterval", `${job.throttle} s`]);
  if (job.until > clock) rows.push(["No start before", seconds(job.until)]);
  return {title: `Job ${job.label}`, path: `launchd, pid ${launchd.pid} \u203a ${job.label}`, rows, mark: true};
}
