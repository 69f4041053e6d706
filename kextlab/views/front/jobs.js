// launchd's jobs, a row above the processes: what runs, what waits to be started, and until when.

import {escaped, some} from "./marks.js";

// A time of the simulated clock: 5 s, 0.25 s.
export const seconds = (ns) => `${Math.round(ns / 1e6) / 1e3} s`;

// What a job is doing. launchd's wait is the job's if no other may be meant.
export function stateOf(launchd, job) {
  if (job.pid) return `running, pid ${job.pid}`;
  const idle = Object.values(launchd.jobs).filter((one) => !one.pid).length;
  return launchd.until && idle === 1 ? `throttled until ${seconds(launchd.until)}` : "waiting";
}

const offers = (job) => [...job.services, ...job.sockets];

export class Jobs {
  constructor(app) {
    this.app = app;
    this.el = document.createElement("div");
    this.el.className = "jobs";
    this.el.setAttribute("role", "group");
    this.el.setAttribute("aria-label", "Jobs of launchd");
    this.body = "";
    this.el.addEventListener("click", (event) => {
      const row = event.target.closest("[data-job]");
      if (row) app.select({kind: "job", job: row.dataset.job});
    });
  }

  update() {
    const {story, sel} = this.app;
    const {launchd} = story.state;
    const jobs = launchd ? Object.entries(launchd.jobs) : [];
    const chosen = sel && sel.kind === "job" ? sel.job : "";
    const idle = jobs.filter(([, job]) => !job.pid).length;
    const later = launchd && launchd.until && idle > 1 ? `<i>no start before ${seconds(launchd.until)}</i>` : "";
    const none = jobs.length ? "" : "<i>has started no job yet</i>"; // its place is kept
    const body = story.series.jobs ? `<b>launchd</b>${none}${jobs.map(([id, job]) => this.row(id, job, launchd, id === chosen)).join("")}${later}` : "";
    if (body === this.body) return;
    const here = this.app.active();
    const again = here && this.el.contains(here) ? here.dataset.job : null;
    this.body = body;
    this.el.innerHTML = body;
    if (again) this.el.querySelector(`[data-job="${again}"]`)?.focus({preventScroll: true});
  }

  row(id, job, launchd, on) {
    const state = stateOf(launchd, job);
    const [first, ...more] = offers(job);
    const name = first ? `<span title="${escaped(first)}">${escaped(first)}${more.length ? ` +${more.length}` : ""}</span>` : "";
    const label = `job ${job.name}, ${state}, started ${some(job.runs, "time")}${offers(job).length ? ", offers " + offers(job).join(", ") : ""}`;
    const kind = job.pid ? "runs" : /^throttled/.test(state) ? "held" : "idle";
    return `<button class="${kind}" data-job="${id}" aria-pressed="${on}" aria-label="${escaped(label)}"><b>${escaped(job.name)}</b><em>${escaped(state)}</em>${name}</button>`;
  }
}

// As the inspector shows a job.
export function jobShown({launchd}, id) {
  const job = launchd && launchd.jobs[id];
  if (!job) return {title: "No such job now", path: "launchd", rows: [["At this step", "it has not been started yet, or is unloaded"]], mark: true};
  const rows = [["State", stateOf(launchd, job)], ["Started", some(job.runs, "time")], ["Bootstrap port", `port ${id}`]];
  for (const name of job.services) rows.push(["Service", name]);
  for (const name of job.sockets) rows.push(["Socket", name]);
  if (launchd.until) rows.push(["launchd waits until", seconds(launchd.until)]);
  return {title: `Job ${job.name}`, path: `launchd, pid ${launchd.pid} \u203a ${job.name}`, rows, mark: true};
}
