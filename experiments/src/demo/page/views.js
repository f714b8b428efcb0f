// The other modes: how each shows what comes.

const FINISH = {eos: "an end of text", "max-new": "as many tokens as asked for", context: "the context is full", length: "as many tokens as asked for"};

function generation(panel, request) {
  const text = el("p", "text", el("span", "given", request.prompt)), hint = el("p", "hint");
  panel.replaceChildren(el("h2", "", "Text"), el("div", "box", text), hint);
  return {
    piece(line) { text.append(line.text); },
    done(line) {
      const settings = line.settings.replace(/^s/, "S").replaceAll("(flag)", "(as typed)");
      hint.textContent = `${line.tokens} tokens; ended by ${FINISH[line.finish]}. ${settings}.`;
    },
  };
}

const quarter = p => p >= .5 ? "q3" : p >= .1 ? "q2" : p >= .01 ? "q1" : "q0";

function exploration(panel) {
  const places = el("div", "places"), detail = el("div", "card"), list = el("ul", "next"), title = el("h3");
  detail.append(title, list);
  const legend = el("ul", "legend");
  for (const [own, words] of [["q3", "50 % or more"], ["q2", "10 to 50 %"], ["q1", "1 to 10 %"], ["q0", "under 1 %"]]) {
    const button = el("span", own, "abc");
    legend.append(el("li", "", button, words));
  }
  legend.classList.add("places-legend");
  panel.replaceChildren(el("h2", "", "Text"), el("div", "box", places, legend),
    el("p", "hint", "The line below a token is the probability that it had where it stands; italic tokens were appended."),
    el("h2", "", "What may follow"), detail,
    el("p", "hint", "Bars are as long as a token is probable beside the most probable one; the token that came is in bold."));
  const found = [], buttons = [];
  function show(index) {
    buttons.forEach((own, place) => own.setAttribute("aria-pressed", String(place === index)));
    const position = found[index], after = found[index + 1];
    title.textContent = `behind “${inLine(position.text)}”, place ${position.index}`;
    const most = Math.max(...position.next.map(own => Math.exp(own.logprob)), 1e-9);
    list.replaceChildren(...position.next.map(own => {
      const p = Math.exp(own.logprob), bar = el("i");
      bar.style.width = `${(100 * p / most).toFixed(2)}%`;
      const name = el("span", after && after.id === own.id ? "name came" : "name", visible(own.text) || `#${own.id}`);
      name.title = `id ${own.id}`;
      return el("li", "", name, el("span", "bar", bar), el("span", "p", percent(p)));
    }));
    if (position.next.length === 0) list.replaceChildren(el("li", "", "The context is full here."));
  }
  return {
    position(line) {
      const index = found.length;
      found.push(line);
      const button = el("button", line.generated ? "made" : "", visible(line.text) || `#${line.id}`);
      button.type = "button";
      if (line.logprob !== null) {
        const p = Math.exp(line.logprob);
        button.classList.add(quarter(p));
        button.title = `${percent(p)}, rank ${line.rank}, id ${line.id}`;
      } else {
        button.title = `id ${line.id}`;
      }
      button.addEventListener("click", () => show(index));
      buttons.push(button);
      places.append(button);
    },
    done() { if (found.length) show(found.length - 1); },
  };
}

function table(head, rows) {
  const line = (tag, cells) => el("tr", "", ...cells.map((cell, place) => {
    const own = el(place === 0 && tag === "td" ? "th" : tag, "", ...[].concat(cell));
    if (own.tagName === "TH") own.scope = tag === "th" ? "col" : "row";
    return own;
  }));
  const box = el("div", "scroll", el("table", "", el("thead", "", line("th", head)), el("tbody", "", ...rows.map(row => line("td", row)))));
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Figures");
  return box;
}

const estimate = own => [figure(own.value), el("small", "", interval(own))];

function temperatures(panel, request) {
  const cards = el("div", "cards"), figures = el("div"), rows = [], texts = new Map();
  panel.replaceChildren(el("h2", "", "Texts"), cards, figures);
  function card(temperature) {
    const key = String(temperature);
    if (!texts.has(key)) {
      const own = {card: el("div", "card", el("h3", "", `Temperature ${temperature}`)), texts: []};
      texts.set(key, own);
      cards.append(own.card);
    }
    return texts.get(key);
  }
  request.temperatures.forEach(card);
  return {
    piece(line) {
      const own = card(line.temperature);
      while (own.texts.length <= line.of) {
        own.texts.push(el("p", "text"));
        own.card.append(own.texts[own.texts.length - 1]);
      }
      own.texts[line.of].append(line.text);
    },
    row(line) {
      const own = card(line.temperature), {figures: all} = line;
      own.card.append(el("p", "hint", `distinct-2 ${figure(all.distinct_2.value)}, repetition ${figure(all.repetition.value)}, log p ${figure(all.mean_logprob.value)}`));
      rows.push([String(line.temperature), ...["tokens", "distinct_1", "distinct_2", "distinct_3", "repetition", "mean_logprob"].map(name => estimate(all[name]))]);
      figures.replaceChildren(el("h2", "", "Figures"),
        table(["T", "tokens", "distinct-1", "distinct-2", "distinct-3", "repetition", "log p"], rows),
        el("p", "hint", "distinct-n: n-grams of tokens that differ, of all. Repetition: 4-grams that came before, of all. log p: mean natural log-probability of a token by the model’s own law. Intervals are 95 %, over five texts or more."));
    },
    done() {},
  };
}

function comparison(panel, request) {
  const cards = request.models.map(name => {
    const text = el("p", "text"), hint = el("p", "hint");
    return {text, hint, card: el("div", "card", el("h3", "", name), text, hint)};
  });
  const figures = el("div");
  panel.replaceChildren(el("h2", "", "Texts"), el("div", "cards two", ...cards.map(own => own.card)), figures);
  const ratio = own => own === null ? "–" : [figure(own.value), el("small", "", `[${figure(own.low)}, ${figure(own.high)}]`)];
  return {
    piece(line) { cards[line.of].text.append(line.text); },
    done(line) {
      const [a, b] = line.models;
      line.models.forEach((own, place) => {
        cards[place].hint.textContent = `${own.tokens} tokens, ${own.bytes} bytes; ended by ${FINISH[own.finish]}.`;
      });
      const bits = (name, one, two) => {
        const [x, y] = [one, two].map(own => own ? own.bits_per_byte : null);
        return [`bits per byte, ${name}`, figure(x), figure(y), x !== null && y ? figure(x / y) : ""];
      };
      const rows = [
        ["parameters", millions(a.parameters), millions(b.parameters), figure(a.parameters / b.parameters)],
        ["tokens of the prompt", String(a.prompt_ids.length), String(b.prompt_ids.length), ""],
        ["tokens", String(a.tokens), String(b.tokens), ""],
        ["tokens a second", "", "", ratio(line.tokens_per_second_ratio)],
        ["bytes a second", "", "", ratio(line.bytes_per_second_ratio)],
        bits("the prompt", a.scores.prompt, b.scores.prompt),
        bits(`text of ${a.model}`, a.scores.own, b.scores.other),
        bits(`text of ${b.model}`, a.scores.other, b.scores.own),
      ];
      if (a.scores.reference || b.scores.reference) rows.push(bits("the reference", a.scores.reference, b.scores.reference));
      figures.replaceChildren(el("h2", "", "Figures"), table(["", a.model, b.model, "ratio"], rows),
        el("p", "hint", `The fewer bits per byte, the more probable; texts are scored behind the prompt. Rates are timed in turns: the ratio’s median and [least, most] of ${a.decode_seconds.length} round${a.decode_seconds.length === 1 ? "" : "s"}.`));
    },
  };
}

const VIEWS = {speculate: speculation, generate: generation, explore: exploration, sweep: temperatures, compare: comparison};
