/*
 * The console: the gate's own API, called from a page. The token of the session is in a
 * variable and nowhere else; whatever the gate says is put into the page as text.
 */
'use strict';

(() => {
	const api = '/ringfence/v1';
	const at = (id) => document.getElementById(id);
	let session = null; /* { token, id } */

	const say = (message, problem) => {
		at('message').textContent = message || '';
		at('problem').textContent = problem || '';
	};

	/* UTF-8 in base64, as Basic authentication has it. */
	const base64 = (text) =>
		btoa(String.fromCharCode(...new TextEncoder().encode(text)));

	const call = async (method, path, body, authorization) => {
		const headers = {
			Authorization: authorization || `Bearer ${session.token}`,
		};
		if (body !== undefined)
			headers['Content-Type'] = 'application/json';
		const answer = await fetch(api + path, {
			method,
			headers,
			body: body === undefined ? undefined : JSON.stringify(body),
			credentials: 'omit',
			cache: 'no-store',
			redirect: 'error',
		});
		const text = await answer.text();
		const result = text === '' ? {} : JSON.parse(text);
		if (!answer.ok) {
			const error = new Error(result.message || `status ${answer.status}`);
			error.status = answer.status;
			throw error;
		}
		return result;
	};

	/* Runs what a button or form asks for, and says how it went. */
	const act = (element, event, what) => {
		element.addEventListener(event, async (e) => {
			e.preventDefault();
			say();
			try {
				say(await what(e));
			} catch (error) {
				if (error.status === 401 && session !== null) {
					leave();
					say('', 'Your session has ended. Please sign in again.');
				} else {
					say('', error.message);
				}
			}
		});
	};

	/* ---- the page ---- */

	const add = (parent, tag, text) => {
		const element = document.createElement(tag);
		if (text !== undefined)
			element.textContent = text;
		parent.append(element);
		return element;
	};

	const time = (text) =>
		text ? new Date(text).toLocaleString() : 'never';

	const limits = (all) => {
		const words = {
			perSecond: 'a second',
			burst: 'at once',
			inFlight: 'running',
			watches: 'watches',
			perDay: 'a day',
			bodyBytes: 'bytes of body',
		};
		const parts = Object.keys(all || {}).map((k) => `${all[k]} ${words[k] || k}`);
		return parts.length === 0 ? 'no limit' : parts.join(', ');
	};

	const scopes = (list) =>
		!list || list.length === 0
			? 'everything'
			: list.map((s) => ['verbs', 'resources', 'namespaces']
				.filter((k) => s[k] && s[k].length !== 0)
				.map((k) => `${k}: ${s[k].join(', ')}`)
				.join('; ')).join(' or ');

	const showUser = (me) => {
		at('user').textContent = me.user;
		at('groups').replaceChildren();
		for (const group of me.groups)
			add(at('groups'), 'li', group);
		at('namespaces').replaceChildren();
		for (const namespace of me.namespaces) {
			const row = add(at('namespaces'), 'tr');
			const quota = me.quota[namespace] || {};
			add(row, 'th', namespace).scope = 'row';
			add(row, 'td', limits(quota.requests));
			add(row, 'td', limits(quota.perUser));
		}
	};

	const showTokens = async () => {
		const { tokens, omitted } = await call('GET', '/tokens');
		at('tokens').replaceChildren();
		for (const token of tokens.filter((t) => !t.revoked)) {
			const row = add(at('tokens'), 'tr');
			const mine = token.id === session.id;
			add(row, 'th', mine ? `${token.name} (this page)` : token.name).scope = 'row';
			add(add(row, 'td'), 'code', token.id);
			add(row, 'td', time(token.created));
			add(row, 'td', time(token.expires));
			add(row, 'td', time(token.lastUsed));
			add(row, 'td', scopes(token.scopes));
			const button = add(add(row, 'td'), 'button', 'Revoke');
			button.type = 'button';
			button.disabled = mine;
			button.setAttribute('aria-label', `Revoke ${token.name} ${token.id}`);
			act(button, 'click', async () => {
				await call('DELETE', `/tokens/${encodeURIComponent(token.id)}`);
				await showTokens();
				at('tokens-title').focus(); /* its button is gone */
				return `The token ${token.name} is revoked.`;
			});
		}
		if (omitted) {
			const cell = add(add(at('tokens'), 'tr'), 'td', `and ${omitted} more, older or revoked`);
			cell.colSpan = 7;
		}
	};

	/* What was asked for, in a few words. */
	const request = (entry) =>
		[entry.verb, entry.resource, entry.name].filter((s) => s).join(' ');

	const showEntries = async (id, path, last) => {
		const { entries } = await call('GET', path);
		at(id).replaceChildren();
		at(`${id}-none`).hidden = entries.length !== 0;
		for (const entry of entries) {
			const row = add(at(id), 'tr');
			add(row, 'th', time(entry.time)).scope = 'row';
			add(row, 'td', entry.user || 'nobody');
			add(row, 'td', entry.source || '');
			add(row, 'td', request(entry)).title = `Audit id ${entry.auditID || ''}`;
			add(row, 'td', entry.tenant || '');
			add(row, 'td', entry.status ? String(entry.status) : '');
			add(row, 'td', last(entry));
		}
	};

	const showAudit = async () => {
		await showEntries('refused', '/audit/refused', (entry) =>
			[entry.reason, entry.message, entry.decidedBy].filter((s) => s).join(': '));
		await showEntries('activity', '/audit', (entry) => entry.kind);
	};

	const showQuotas = async () => {
		const { quotas } = await call('GET', '/quotas');
		at('quotas').replaceChildren();
		at('quotas-section').hidden = quotas.length === 0;
		for (const quota of quotas) {
			const row = add(at('quotas'), 'tr');
			add(row, 'th', `${quota.namespace}: ${quota.name}`).scope = 'row';
			add(row, 'td', limits(quota.requests));
			for (const key of ['inFlight', 'watches', 'today', 'refused'])
				add(row, 'td', String(quota[key]));
		}
	};

	const showTenants = async () => {
		const { tenants } = await call('GET', '/tenants');
		at('tenants').replaceChildren();
		at('tenants-section').hidden = tenants.length === 0;
		for (const tenant of tenants) {
			const row = add(at('tenants'), 'tr');
			add(row, 'th', tenant.path).scope = 'row';
			add(row, 'td', tenant.owners.join(', '));
			add(row, 'td', tenant.kubernetes.join(', '));
			add(row, 'td', limits(tenant.quota.requests));
			add(row, 'td', limits(tenant.quota.perUser));
		}
	};

	const show = (signedIn) => {
		at('sign-in').hidden = signedIn;
		at('home').hidden = !signedIn;
		at('signed-in').hidden = !signedIn;
		at('new-token').hidden = true;
		at('token-text').textContent = '';
		if (signedIn)
			at('main').focus({ preventScroll: true });
		else
			at('name').focus();
	};

	const leave = () => {
		session = null;
		for (const id of ['user', 'groups', 'namespaces', 'tokens', 'refused',
			'activity', 'tenants', 'quotas'])
			at(id).replaceChildren();
		show(false);
	};

	/* ---- what one can do ---- */

	act(at('sign-in-form'), 'submit', async () => {
		const credentials = base64(`${at('name').value}:${at('password').value}`);
		at('password').value = '';
		session = await call('POST', '/login', { name: 'console', ttl: '1h' },
			`Basic ${credentials}`);
		showUser(await call('GET', '/whoami'));
		await showTokens();
		await showQuotas();
		await showTenants();
		await showAudit();
		show(true);
		return 'You are signed in.';
	});

	act(at('sign-out'), 'click', async () => {
		await call('DELETE', `/tokens/${encodeURIComponent(session.id)}`);
		leave();
		return 'You are signed out.';
	});

	act(at('refresh'), 'click', async () => {
		await showQuotas();
		await showAudit();
		return 'The records are up to date.';
	});

	const list = (id) =>
		at(id).value.split(',').map((s) => s.trim()).filter((s) => s !== '');

	act(at('token-form'), 'submit', async () => {
		const scope = {};
		for (const key of ['namespaces', 'verbs', 'resources']) {
			const values = list(`token-${key}`);
			if (values.length !== 0)
				scope[key] = values;
		}
		const body = {
			name: at('token-name').value,
			ttl: `${Number(at('token-days').value) * 24}h`,
		};
		if (Object.keys(scope).length !== 0)
			body.scopes = [scope];
		const made = await call('POST', '/tokens', body);
		at('token-form').reset();
		await showTokens();
		at('token-text').textContent = made.token;
		at('new-token').hidden = false;
		at('token-text').focus();
		return 'The token is made. Keep it now: it is not shown again.';
	});

	act(at('kubeconfig'), 'click', async () => {
		const text = JSON.stringify({
			apiVersion: 'v1',
			kind: 'Config',
			clusters: [{ name: 'ringfence', cluster: { server: location.origin } }],
			users: [{
				name: 'ringfence',
				user: {
					exec: {
						apiVersion: 'client.authentication.k8s.io/v1',
						command: 'ringfence',
						args: ['login', '--server', location.origin, '--user',
							at('user').textContent],
						interactiveMode: 'IfAvailable',
						provideClusterInfo: false,
					},
				},
			}],
			contexts: [{
				name: 'ringfence',
				context: { cluster: 'ringfence', user: 'ringfence' },
			}],
			'current-context': 'ringfence',
		}, null, '\t');
		const link = document.createElement('a');
		link.href = URL.createObjectURL(new Blob([text], { type: 'application/octet-stream' }));
		link.download = 'ringfence.kubeconfig';
		link.click();
		setTimeout(() => URL.revokeObjectURL(link.href), 60000);
		return 'The kubeconfig is in your downloads.';
	});

	/* A page that is left has no session: nothing of it comes back with the history. */
	window.addEventListener('pagehide', () => {
		if (session !== null)
			fetch(`${api}/tokens/${encodeURIComponent(session.id)}`, {
				method: 'DELETE',
				headers: { Authorization: `Bearer ${session.token}` },
				credentials: 'omit',
				keepalive: true,
			});
		leave();
	});
	show(false);
})();
