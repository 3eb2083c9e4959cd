// Reads an AsyncAPI document with the parser of AsyncAPI itself, and says what is wrong with it.
const { readFileSync } = require('node:fs')
const { Parser } = require('@asyncapi/parser')

// That there is a version after 3.0.0, which is the one meant here.
const MEANT = ['asyncapi-latest-version']

new Parser().parse(readFileSync(process.argv[2], 'utf8')).then(({ document, diagnostics }) => {
  const wrong = diagnostics.filter(each => !MEANT.includes(each.code))
  for (const each of wrong) console.error(`${each.path.join('/')}: ${each.message} (${each.code})`)
  if (wrong.length || !document) process.exit(1)
  console.log(`AsyncAPI: ${document.allMessages().length} messages in ${document.allChannels().length} channels`)
})
