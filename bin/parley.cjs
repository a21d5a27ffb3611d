#!/usr/bin/env node
'use strict'
require('./check-node.cjs')
// Comes before the program is loaded, so that the next start reads compiled code.
require('node:module').enableCompileCache()
require('../dist/cli/program.cjs')
