"use strict";
(() => {
	const $ = (id) => document.getElementById(id);
	const data = JSON.parse($("data").textContent);
	const picture = $("picture");
	const side = $("side");
	const whole = picture.viewBox.baseVal;
	const LIST_MAX = 100;

	const ends = data.ends.map(([name, space, card]) => ({ name, space, card }));
	const pairs = data.pairs.map(([src, dst, set, edge, reasons]) => ({
		src: ends[src], dst: ends[dst], ports: data.sets[set], edge, reasons: data.reasons[reasons],
	}));
	const edges = data.edges.map(([from, row]) => ({ from, row, pairs: [] }));
	for (const pair of pairs)
		edges[pair.edge].pairs.push(pair);
	const grouped = ends.length > new Set(ends.map((e) => e.card)).size;
	let shown = pairs;
	let shownSet = new Set(pairs);
	let all = true; /* nothing is filtered out */
	const spaceOf = new Map(ends.map((e) => [e.card, e.space]));

	/* ---- elements: text is only ever text ---- */

	const make = (tag, text, ...children) => {
		const node = document.createElement(tag);
		const [name, kind] = tag.split(".");
		const real = kind ? document.createElement(name) : node;
		if (kind)
			real.className = kind;
		if (text != null)
			real.textContent = text;
		real.append(...children);
		return real;
	};

	/* ---- filters ---- */

	const within = (space, top) =>
		top === "" || space === top || (top === "/" ? space[0] === "/" : space.startsWith(top + "/"));

	/* "TCP 80,443-444,UDP 53" takes in 443/tcp. */
	const takesIn = (ports, port, proto) => {
		if (ports === "All Connections")
			return true;
		let current = "";
		for (const part of ports.split(",")) {
			const [, name, lo, hi] = /^\s*(?:([A-Za-z][A-Za-z0-9]*)\s*)?(\d+)?(?:-(\d+))?$/.exec(part) || [];
			if (name)
				current = name.toLowerCase();
			if (proto && current !== proto)
				continue;
			if (port === null || (lo && port >= +lo && port <= +(hi || lo)))
				return true;
		}
		return false;
	};

	const readPort = () => {
		const field = $("port");
		const text = field.value.trim().toLowerCase();
		const found = /^(?:(\d{1,5})(?:\/(tcp|udp|sctp))?|(tcp|udp|sctp|icmp|icmpv6))$/.exec(text);
		field.setCustomValidity(text && !found ? "a port such as 443/tcp, a number, or a protocol" : "");
		return found ? { port: found[1] ? +found[1] : null, proto: found[2] || found[3] || "" } : null;
	};

	const apply = () => {
		const top = $("namespace").value;
		const text = $("text").value.trim().toLowerCase();
		const port = readPort();
		const named = (end) => end.name.toLowerCase().includes(text);
		shown = pairs.filter((p) =>
			(within(p.src.space, top) || within(p.dst.space, top)) &&
			(text === "" || named(p.src) || named(p.dst)) &&
			(!port || takesIn(p.ports, port.port, port.proto)));
		shownSet = new Set(shown);
		const filtered = shown.length < pairs.length || top !== "" || text !== "";
		const liveEdges = new Set(shown.map((p) => p.edge));
		const liveCards = new Set();
		for (const p of shown)
			liveCards.add(p.src.card).add(p.dst.card);
		for (const end of ends) {
			if (!port && within(end.space, top) && (text === "" || named(end)))
				liveCards.add(end.card);
		}
		edges.forEach((_, i) => $("e" + i).classList.toggle("gone", !liveEdges.has(i)));
		for (const card of picture.querySelectorAll(".card"))
			card.classList.toggle("gone", filtered && !liveCards.has(+card.id.slice(1)));
		const liveSpaces = [...new Set([...liveCards].map((card) => spaceOf.get(card)))];
		data.spaces.forEach((space, i) => {
			const box = $("s" + i);
			if (box)
				box.classList.toggle("gone", filtered && !liveSpaces.some((s) => within(s, space)));
		});
		all = !filtered;
		$("count").textContent = `${shown.length} of ${pairs.length} connections`;
		unpick();
		overview();
		fit(true);
	};

	/* ---- what is picked ---- */

	const unpick = () => {
		picture.classList.remove("picked");
		for (const node of picture.querySelectorAll(".on, .near"))
			node.classList.remove("on", "near");
	};

	const pick = (cards, edgeList) => {
		unpick();
		picture.classList.add("picked");
		for (const card of cards)
			$("c" + card).classList.add("on");
		for (const i of edgeList) {
			$("e" + i).classList.add("on");
			for (const p of edges[i].pairs) {
				$("c" + p.src.card).classList.add("near");
				$("c" + p.dst.card).classList.add("near");
			}
		}
	};

	const back = () => {
		const button = make("button", "All connections");
		button.addEventListener("click", () => { unpick(); overview(); side.focus(); });
		return button;
	};

	const pairButton = (pair) => {
		const button = make("button", null, pair.src.name, make("span.arrow", " \u2192 "), pair.dst.name, " ",
			make("span.ports", pair.ports));
		button.addEventListener("click", () => showPairs([pair], true));
		return make("li", null, button);
	};

	const list = (title, items) => {
		const more = items.length - LIST_MAX;
		const nodes = [make("h3", `${title} (${items.length})`), make("ul", null, ...items.slice(0, LIST_MAX).map(pairButton))];
		if (more > 0)
			nodes.push(make("p", `and ${more} more: narrow the filters`));
		return items.length ? nodes : [];
	};

	const overview = () => {
		side.replaceChildren(
			make("h2", "Connections"),
			make("p", "Choose a connection or a workload, here or in the picture, to see the rules behind it."),
			...(grouped ? [make("p", "A card such as \u201cweb +4\u201d stands for workloads that connect alike. A line from a box is of all that is in it.")] : []),
			...list("Allowed", shown));
	};

	const decider = (label, d) => {
		const nodes = [make("dt", label)];
		const dd = make("dd", d.text);
		if (d.place)
			dd.append(make("br"), make("span.place", d.place), ` \u2014 ${d.phase} of ${d.level}`);
		return [...nodes, dd];
	};

	const why = ([ports, out, into], pair) => make("div.why", null,
		make("div.ports", ports),
		make("dl", null,
			...decider("leaving", data.deciders[out]),
			...decider("arriving", data.deciders[into])));

	const showPairs = (chosen, focus) => {
		pick(chosen.length === 1 ? [chosen[0].src.card, chosen[0].dst.card] : [], new Set(chosen.map((p) => p.edge)));
		if (chosen.length === 1) {
			const [p] = chosen;
			side.replaceChildren(back(),
				make("h2", null, p.src.name, make("span.arrow", " \u2192 "), p.dst.name),
				make("p", p.ports),
				make("h3", "Allowed by"),
				...p.reasons.map((r) => why(r, p)));
		} else {
			side.replaceChildren(back(), make("h2", `${chosen.length} connections on one line`),
				...list("Allowed", chosen));
		}
		if (focus)
			side.focus();
	};

	const showCard = (card, focus) => {
		const members = ends.filter((e) => e.card === card);
		const into = shown.filter((p) => p.dst.card === card);
		const out = shown.filter((p) => p.src.card === card);
		pick([card], new Set([...into, ...out].map((p) => p.edge)));
		side.replaceChildren(back(),
			make("h2", members.length > 1 ? `${members.length} that connect alike` : members[0].name),
			make("p", members.length > 1 ? members.slice(0, 20).map((e) => e.name).join(", ") : `in ${members[0].space}`),
			...list("Reached by", into), ...list("Reaches", out));
		if (into.length + out.length === 0)
			side.append(make("p", "Nothing reaches it, and it reaches nothing, that the filters show."));
		if (focus)
			side.focus();
	};

	const choose = (node, focus) => {
		const i = +node.id.slice(1);
		if (node.classList.contains("card"))
			showCard(i, focus);
		else
			showPairs(edges[i].pairs.filter((p) => shownSet.has(p)), focus);
	};

	/* ---- the picture ---- */

	let scale = 1;
	const setScale = (wanted) => {
		scale = Math.min(3, Math.max(0.1, wanted));
		picture.setAttribute("width", whole.width * scale);
		picture.setAttribute("height", whole.height * scale);
	};

	/* The view moves to what the filters leave. */
	const fit = (move) => {
		const view = $("view");
		const cards = [...picture.querySelectorAll(".card:not(.gone)")];
		const box = all ? [0, 0, whole.width, whole.height] : cards.reduce((sum, card) => {
			const b = card.getBBox();
			return [Math.min(sum[0], b.x - 60), Math.min(sum[1], b.y - 60),
				Math.max(sum[2], b.x + b.width + 60), Math.max(sum[3], b.y + b.height + 60)];
		}, [Infinity, Infinity, 0, 0]);
		if (!cards.length)
			return;
		const [x, y, w, h] = [box[0], box[1], box[2] - box[0], box[3] - box[1]];
		setScale(Math.min(1.3, Math.max(0.45, Math.min((view.clientWidth - 4) / w, (view.clientHeight - 50) / h))));
		if (move)
			view.scrollTo(x * scale, y * scale);
	};

	/* ---- beginning ---- */

	for (const space of [...data.spaces].sort())
		$("namespace").append(make("option", space));
	for (const node of picture.querySelectorAll(".card, .edge")) {
		const i = +node.id.slice(1);
		const names = node.classList.contains("card")
			? ends.filter((e) => e.card === i).map((e) => e.name).slice(0, 3).join(", ")
			: edges[i].pairs.slice(0, 2).map((p) => `${p.src.name} to ${p.dst.name}, ${p.ports}`).join("; ");
		node.setAttribute("aria-label", names);
		node.addEventListener("click", () => choose(node, false));
		node.addEventListener("keydown", (event) => {
			if (event.key !== "Enter" && event.key !== " ")
				return;
			event.preventDefault();
			choose(node, true);
		});
	}
	document.addEventListener("keydown", (event) => {
		if (event.key === "Escape") {
			unpick();
			overview();
		}
	});
	$("filters").addEventListener("input", apply);
	$("filters").addEventListener("submit", (event) => event.preventDefault());
	$("filters").addEventListener("reset", () => setTimeout(apply));
	$("in").addEventListener("click", () => setScale(scale * 1.25));
	$("out").addEventListener("click", () => setScale(scale / 1.25));
	$("fit").addEventListener("click", () => fit(true));
	apply();
})();
