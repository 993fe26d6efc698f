"use strict";
// Shows a report's figures at another threshold. Every figure was reckoned beforehand and is looked up here; without
// this script the page shows all of them at the recipe's own threshold.
(() => {
  const source = document.getElementById("what-if-data");
  const bar = document.getElementById("what-if");
  if (!source || !bar) return;
  const data = JSON.parse(source.textContent);
  const own = { image: data.image, review: data.review, band: data.review < data.image };
  const at = { ...own };
  const find = (id) => document.getElementById(`what-if-${id}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const many = (count, one, more) => `${count} ${count === 1 ? one : more}`;

  const verdict = (ng, notOk, place) => (place.image <= ng ? "NG" : place.review <= notOk ? "REVIEW" : "OK");

  // Table name → how many are what, at a place of both handles.
  const counted = (name, place) => {
    const table = data.counts[name];
    const [i, j] = [place.image, place.review];
    return {
      defectiveOK: table.escapes[j],
      goodOK: table.passed[j],
      defectiveNG: table.caught[i],
      goodNG: table.rejects[i],
      defectiveREVIEW: table.defective - table.escapes[j] - table.caught[i],
      goodREVIEW: table.good - table.passed[j] - table.rejects[i],
    };
  };

  const cost = (place) =>
    data.costs ? Number((data.costs[0][place.review] + data.costs[1][place.image]).toPrecision(3)) : null;

  const showRates = () => {
    for (const name of Object.keys(data.counts)) {
      const table = data.counts[name];
      const now = counted(name, at);
      const rows = {
        escapes: [now.defectiveOK, table.defective, table.escapeRates[now.defectiveOK]],
        rejects: [now.goodNG, table.good, table.rejectRates[now.goodNG]],
      };
      for (const [kind, [count, of, texts]] of Object.entries(rows)) {
        const cells = all(`[data-rate="${name}-${kind}"] td`);
        [`${count} of ${of}`, ...texts].forEach((text, index) => {
          if (cells[index]) cells[index].textContent = text;
        });
      }
    }
  };

  const showVerdicts = () => {
    const now = counted("images", at);
    const reviews = now.goodREVIEW + now.defectiveREVIEW;
    for (const cell of all("[data-verdict]")) cell.textContent = now[cell.dataset.verdict];
    for (const cell of all(".to-review")) cell.hidden = reviews === 0 && !own.band;
    for (const cell of all("[data-wrong]")) cell.classList.toggle("bad", now[cell.dataset.wrong] > 0);
  };

  const showPictures = () => {
    for (const figure of all("figure[data-ng]")) {
      const [ng, notOk] = [Number(figure.dataset.ng), Number(figure.dataset.ok)];
      const [before, after] = [verdict(ng, notOk, own), verdict(ng, notOk, at)];
      figure.classList.toggle("changed", before !== after);
      figure.querySelector(".now").textContent = before === after ? "" : `${before} → ${after}`;
    }
  };

  const showChanged = () => {
    const changed = data.names
      .map(([name, defective, ng, notOk]) => [name, defective, verdict(ng, notOk, own), verdict(ng, notOk, at)])
      .filter(([, , before, after]) => before !== after);
    const list = find("changed");
    const most = 12;
    list.replaceChildren(
      ...changed.slice(0, most).map(([name, defective, before, after]) => {
        const item = document.createElement("li");
        item.textContent = `${name} (${defective ? "defective" : "good"}): ${before} → ${after}`;
        return item;
      }),
    );
    find("more").textContent = changed.length > most ? `and ${changed.length - most} more` : "";
    find("list").hidden = changed.length === 0;
    return changed.length;
  };

  const showLines = (moved) => {
    for (const line of all("[data-line]")) {
      const places = data.places[line.dataset.line];
      line.hidden = !moved || !places;
      if (places) line.style.left = `${places[at.image]}%`;
    }
  };

  const sentence = (changed) => {
    const table = data.counts.images;
    const now = counted("images", at);
    const parts = [];
    if (table.defective) {
      parts.push(`${many(now.defectiveOK, "escape", "escapes")} of ${table.defective} (${table.escapeRates[now.defectiveOK][0]})`);
    }
    if (table.good) {
      parts.push(`${many(now.goodNG, "false reject", "false rejects")} of ${table.good} (${table.rejectRates[now.goodNG][0]})`);
    }
    const reviews = now.goodREVIEW + now.defectiveREVIEW;
    if (reviews || at.band) parts.push(`${reviews} to review`);
    if (data.costs) parts.push(`cost ${cost(at)} a part (${cost(own)} at the recipe's)`);
    if (changed) parts.push(`${many(changed, "image changes", "images change")} side`);
    return `${parts.join(", ")}.`;
  };

  const show = () => {
    const moved = at.image !== own.image || at.review !== own.review;
    const [image, review] = [data.thresholds[at.image], data.thresholds[at.review]];
    find("image").value = at.image;
    find("review").value = at.review;
    find("image-at").textContent = image;
    find("review-at").textContent = at.band ? `from ${review}` : "";
    find("band").checked = at.band;
    find("second").hidden = !at.band;
    find("back").disabled = !moved;
    document.body.classList.toggle("moved", moved);
    for (const row of all("[data-rates]")) row.hidden = !moved;
    for (const text of all("[data-place]")) text.textContent = at.band ? `${image}, REVIEW from ${review}` : image;
    showRates();
    showVerdicts();
    showPictures();
    showLines(moved);
    const said = sentence(showChanged());
    find("said").textContent = said;
    find("image").setAttribute("aria-valuetext", `${image}: ${said}`);
    find("review").setAttribute("aria-valuetext", review);
  };

  const move = (change) => {
    Object.assign(at, change);
    at.review = at.band ? Math.min(at.review, at.image) : at.image;
    show();
  };

  find("image").addEventListener("input", (event) => move({ image: Number(event.target.value) }));
  find("review").addEventListener("input", (event) => move({ review: Number(event.target.value) }));
  find("band").addEventListener("change", (event) =>
    move({ band: event.target.checked, review: own.band ? own.review : at.image }),
  );
  find("back").addEventListener("click", () => {
    move(own);
    find("image").focus(); // the button is disabled now and cannot keep it
  });
  bar.hidden = false;
  show();
})();
