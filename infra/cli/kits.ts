#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

// Before anything else is loaded: most of a command's time is its start.
enableCompileCache();
const { main } = await import('./main.ts');
process.exitCode = await main(process.argv.slice(2));
