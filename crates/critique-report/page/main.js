evaluationPlot();
curvesControls();
drawCurves();
reader.opening = openReader().catch(told);
if (LIVE) followRuns();

let wide = window.innerWidth;
window.addEventListener("resize", later(() => {
  // A phone's bars come and go and change the height alone.
  if (window.innerWidth !== wide) {
    wide = window.innerWidth;
    drawEvaluation();
    drawCurves();
  }
}, 150));
