import { onEachServer } from "../../setup/database.ts"
import { taskStoreContract } from "../TaskStore.contract.ts"
import { pgWorld } from "./world.ts"

onEachServer("PgTaskStore", (server) => taskStoreContract("PgTaskStore", pgWorld(server)))
