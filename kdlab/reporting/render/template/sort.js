// A click on a heading sorts the table of settings by it; a second click reverses the order.
for (const heading of document.querySelectorAll("#settings thead th")) {
  const button = document.createElement("button");
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const down = heading.getAttribute("aria-sort") !== "descending" && heading.cellIndex > 0
      || heading.getAttribute("aria-sort") === "ascending";
    const body = heading.closest("table").tBodies[0];
    const value = row => row.cells[heading.cellIndex].dataset.value;
    const order = (a, b) => (value(a) === "") - (value(b) === "") || (value(a) - value(b)) * (down ? -1 : 1);
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...[...body.rows].sort(order));
  });
}
