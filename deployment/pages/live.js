// Shows what happens now on pages that the ledger serves; in a folder they are as they are. Every few seconds it is asked
// what each service has read until now and how far it is behind, and two answers give a rate.
const EVERY = 3000
const page = document.body.dataset
const place = `${page.up ?? ''}live`
const now = document.getElementById('now')
let before = null

const rate = (was, is, seconds) => {
  const events = Math.max(0, is - was) / seconds
  return events >= 10 ? events.toFixed(0) : events.toFixed(1)
}

const sum = (numbers) => numbers.reduce((all, each) => all + each, 0)

const read = (traffic, types) => sum(types.map((type) => traffic.read[type] ?? 0))

function showWay (way, told, seconds) {
  const [writer, reader] = way.dataset.way.split(' ')
  const [is, was] = [told.services[reader], before?.services[reader]]
  const cell = way.querySelector('[data-now]')
  if (!is) {
    cell.textContent = 'no answer'
    return
  }
  const types = way.dataset.types.split(' ')
  const behind = is.lag[`${writer}.events`] ?? 0
  const speed = was ? `${rate(read(was, types), read(is, types), seconds)}/s` : '…'
  cell.textContent = behind ? `${speed}, ${behind} behind` : speed
  way.classList.toggle('late', behind > 0)
}

function showReaders (told) {
  const found = Object.entries(told.services).filter(([, each]) => each?.read[page.type])
  const silent = Object.entries(told.services).filter(([, each]) => !each).map(([name]) => name)
  const seen = found.map(([name, each]) => `${name} (${each.read[page.type]} until now)`).join(', ') || 'nobody'
  now.textContent = `Seen to read this version: ${seen}.` + (silent.length ? ` No answer from ${silent.join(', ')}.` : '')
}

async function look () {
  try {
    const answer = await fetch(place)
    if (!answer.ok) throw new Error(answer.statusText)
    const told = { at: Date.now(), ...(await answer.json()) }
    for (const way of document.querySelectorAll('[data-way]')) showWay(way, told, (told.at - (before?.at ?? 0)) / 1000)
    if (page.type) showReaders(told)
    else now.textContent = 'Events a second as they are read now, and records that wait to be read in the topic.'
    before = told
  } catch (error) {
    now.textContent = `What happens now is not known: ${error.message}.`
  }
}

if (location.protocol.startsWith('http')) {
  for (const each of document.querySelectorAll('[data-live]')) each.hidden = false
  look()
  setInterval(look, EVERY)
}
