/** The server of a backend, from the environment. Its absence is a failure, never a skip. */
export function backendUrl(variable: string, service: string): string {
  const url = process.env[variable];
  if (url) return url;
  throw new Error(
    `${variable} is not set. Start the server with: npm run -s services -- start ${service} (it prints the variable), or name one of your own.`,
  );
}
