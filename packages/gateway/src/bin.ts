#!/usr/bin/env node
import { main } from "./internal/cli/main.ts"

main()
