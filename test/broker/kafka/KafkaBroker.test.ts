import { Layer } from "effect"
import * as KafkaBroker from "../../../src/broker/kafka/KafkaBroker.ts"
import { brokerContract } from "../Broker.contract.ts"
import { onKafka, settingsOf } from "./kafka.ts"

onKafka("KafkaBroker", (broker) => {
  brokerContract("KafkaBroker", Layer.orDie(KafkaBroker.layer(settingsOf(broker))))
})
