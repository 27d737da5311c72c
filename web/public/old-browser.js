// Run by browsers alone that know no modules, so nothing of the page either.
document.getElementById("status").textContent =
  "This browser is too old for this page. Chrome, Edge or Firefox from 2023 on, or Safari from 16.4 on, can show it.";
