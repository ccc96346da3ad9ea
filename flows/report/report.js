"use strict";
// The slider swaps rows that are already written as `distillery sweep` writes them.
const slider = document.getElementById("threshold");
if (slider) {
  const sweep = JSON.parse(document.getElementById("sweep").textContent);
  const output = document.getElementById("threshold-value");
  const limit = document.querySelector(".sweep .limit");
  const rows = document.querySelectorAll("#kept tbody tr");
  const show = () => {
    const percent = sweep.percents[slider.value];
    output.textContent = `${percent} %`;
    slider.setAttribute("aria-valuetext", `${percent} %`);
    sweep.rows[slider.value].forEach((row, index) => {
      row.forEach((text, column) => { rows[index].children[column].textContent = text; });
    });
    const { first, last, low, high } = limit.dataset;
    const share = (percent - Number(low)) / (Number(high) - Number(low));
    const x = Number(first) + share * (Number(last) - Number(first));
    limit.setAttribute("d", limit.getAttribute("d").replace(/^M[\d.]+/, `M${x.toFixed(1)}`));
  };
  slider.addEventListener("input", show);
  show(); // a browser that goes back restores the slider
}
// Printed, everything is shown.
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
});
// One recording at a time.
for (const one of document.querySelectorAll("audio")) {
  one.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== one) other.pause();
  });
}
