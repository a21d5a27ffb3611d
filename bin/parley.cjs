#!/usr/bin/env node
'use strict'
require('./check-node.cjs')
// Comes before the program is imported, so that the next start reads compiled code.
require('node:module').enableCompileCache()
import('../dist/cli/program.js')
