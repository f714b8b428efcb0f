// Speculation, live: the text token by token, both vocabularies' cuts of it, the counts, and each round.

const KINDS = {
  accepted: ["accepted", "proposed by the draft, accepted"],
  correction: ["correction", "the target’s own: nothing proposed there was accepted"],
  bonus: ["bonus", "the target’s own behind the last candidate"],
  plain: ["target-alone", "the target’s own: nothing was proposed"],
  prefill: ["prefill", "came with the prompt"],
};

function chances(token) {
  const parts = [`id ${token.id}`];
  if (token.draft !== null && token.draft !== undefined) parts.push(`draft ${percent(token.draft)}`);
  if (token.target !== undefined && token.target < 1) parts.push(`target ${percent(token.target)}`);
  return parts.join(", ");
}

function tally() {
  const list = el("dl", "figures"), entries = {};
  for (const [key, name] of [
    ["rate", "accepted of proposed"], ["pass", "tokens a target pass"], ["alpha", "α, accepted where a turn came"],
    ["passes", "target passes"], ["speed", "speed over plain decoding"],
  ]) {
    entries[key] = el("dd", "", "–", el("small"));
    list.append(el("div", "", el("dt", "", name), entries[key]));
  }
  const set = (key, value, note) => entries[key].replaceChildren(value, el("small", "", note || ""));
  return {list, set};
}

// One line of a round: what was accepted, what the target said, and what else had been proposed.
function roundLine(round) {
  const made = round.tokens.map(token => el("span", `chip ${KINDS[token.made][0]}`, inLine(token.text)));
  const others = round.candidates.filter(own => !own.accepted);
  const accepted = round.candidates.length - others.length;
  const shown = others.slice(0, 6).map(own => el("s", "", inLine(own.text.trim() || own.text)));
  const rest = others.length > 6 ? `and ${others.length - 6} more` : "";
  return el("li", "",
    el("span", "number", String(round.number)),
    el("span", "count", `${accepted} of ${round.candidates.length}`),
    el("span", "tokens-of", ...made, others.length ? el("span", "refused", " not ", ...shown, rest) : null));
}

function speculation(panel, request) {
  const text = el("p", "tokens", el("span", "given", request.prompt));
  const cuts = {target: el("p", "tokens cut"), draft: el("p", "tokens cut")};
  const {list, set} = tally();
  const rounds = el("ol", "rounds");
  rounds.tabIndex = 0;
  rounds.setAttribute("aria-label", "Rounds, newest first");
  const names = {target: el("h3"), draft: el("h3")};
  const legend = el("ul", "legend");
  const counts = {};
  for (const [kind, [name, words]] of Object.entries(KINDS)) {
    counts[kind] = el("b", "", "0");
    const line = el("li", "", el("span", name, counts[kind]), words);
    line.hidden = kind === "plain";
    legend.append(line);
  }
  const method = el("p", "hint");
  const counted = {};
  panel.replaceChildren(
    el("h2", "", "Text"), el("div", "box", text, legend), list, method,
    el("h2", "", "The same text in two vocabularies"),
    el("div", "cards two", el("div", "card", names.target, cuts.target), el("div", "card", names.draft, cuts.draft)),
    el("h2", "", "Rounds"), el("p", "hint", "Accepted candidates of all, the tokens that came, and candidates that did not come true. Newest first."), rounds);
  let finished = 0;
  const name = (which, model, count) => { names[which].textContent = `${model}, the ${which}: ${count} tokens`; };
  let models = {};
  return {
    begun(line) {
      models = {target: line.target, draft: line.draft};
      method.textContent = `${line.draft} drafts for ${line.target} by ${line.method} (${line.method_reason}), ${line.gamma} in a row and ${line.nodes} in a tree at most, temperature ${line.sampling.temperature}, seed ${line.seed}. α has a 95 % interval of Clopper and Pearson, as if places were independent.`;
    },
    round(line) {
      for (const token of line.tokens) {
        const own = el("span", KINDS[token.made][0], visible(token.text));
        own.title = `${KINDS[token.made][1]}; ${chances(token)}`;
        text.append(own);
        cuts.target.append(el("span", "", visible(token.text)));
        counted[token.made] = (counted[token.made] || 0) + 1;
        counts[token.made].textContent = String(counted[token.made]);
        counts[token.made].closest("li").hidden = false;
        finished += 1;
      }
      cuts.draft.replaceChildren(...line.draft_pieces.map(piece => el("span", "", visible(piece))));
      name("target", models.target, finished);
      name("draft", models.draft, line.draft_pieces.length);
      const {totals, rates} = line;
      if (totals.passes === 0) return;
      rounds.prepend(roundLine(line));
      set("rate", figure(rates.acceptance_rate), `${totals.accepted} of ${totals.proposed}`);
      set("pass", figure(rates.tokens_per_pass), `${totals.emitted} in ${totals.passes}`);
      set("alpha", figure(rates.alpha.value), interval(rates.alpha));
      set("passes", String(totals.passes), `last: ${line.tokens.length} token${line.tokens.length === 1 ? "" : "s"}`);
    },
    done(line) {
      cuts.draft.replaceChildren(...line.draft_pieces.map(piece => el("span", "", visible(piece))));
      if (line.plain === null) return;
      const same = {true: "ids are the same", false: "ids differ"}[line.plain.identical] || "prompts included";
      set("speed", figure(line.plain.speed_ratio), `one run; ${same}`);
    },
  };
}
