async function start() {
  // Grids and charts first: they move what a link to a rollout scrolls to.
  for (const part of [startMaths, startGrids, startCharts, startBrowser, startSearch]) await part().catch(fail);
  document.documentElement.dataset.ready = "yes";
}
start();
