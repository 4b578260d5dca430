/**
 * Ends with 0 when the AMQP port takes connections. It says nothing on the connection, so that the log does not fill up with it.
 *
 * The port is the one that the environment names; where rabbitmq.conf names another, set LEVERET_PORT to it as well.
 */
import { connect } from "node:net";

const TIMEOUT_MS = 3000;

const { LEVERET_PORT, RABBITMQ_NODE_PORT } = process.env;
const socket = connect(Number(LEVERET_PORT || RABBITMQ_NODE_PORT || 5672), "localhost");
socket.setTimeout(TIMEOUT_MS, () => process.exit(1));
socket.on("error", () => process.exit(1));
socket.on("connect", () => process.exit(0));
